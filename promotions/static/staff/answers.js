// Converts an answer of the server or of this device to the texts on the screen:
// { kind, word, main, units, detail, isCorrectable, mayVouch, mayRetry }. Pure: no access to page or network.

export function fill(text, values) {
  return text.replace(/\{(\w+)\}/g, (_, name) => values[name] ?? "");
}

// "today 12:04", in the store's time zone.
export function formatWhen(instant, { strings, language, timezone, now }) {
  const day = (date) => new Intl.DateTimeFormat("en-CA", { timeZone: timezone }).format(date);
  const moment = new Date(instant);
  const time = formatTime(instant, { language, timezone });
  const distance = Math.round((Date.parse(day(moment)) - Date.parse(day(now))) / 86_400_000);
  const near = { "-1": strings.yesterday, 0: strings.today, 1: strings.tomorrow }[distance];
  if (near) return fill(near, { time });
  const date = new Intl.DateTimeFormat(language, { timeZone: timezone, day: "numeric", month: "long" }).format(moment);
  return `${date} ${time}`;
}

export function formatTime(instant, { language, timezone }) {
  const format = { timeZone: timezone, hour: "2-digit", minute: "2-digit", hourCycle: "h23" };
  return new Intl.DateTimeFormat(language, format).format(new Date(instant));
}

export function formatAge(milliseconds, { strings }) {
  const seconds = Math.max(0, Math.round(milliseconds / 1000));
  if (seconds < 60) return fill(strings.age_seconds, { count: seconds });
  const minutes = Math.round(seconds / 60);
  if (minutes < 60) return fill(strings.age_minutes, { count: minutes });
  return fill(strings.age_hours, { count: Math.round(minutes / 60) });
}

export function formatAmount(amount, { language }) {
  return new Intl.NumberFormat(language, { minimumFractionDigits: 2 }).format(amount);
}

export function describe({ status, body }, context) {
  const { strings } = context;
  if (status === 201) {
    const units = formatUnits(body, context);
    return { kind: "give", word: strings.give, main: body.benefit, units, detail: body.note ?? "" };
  }
  if (status === 200) {
    const when = formatTime(body.redeemed_at, context);
    const detail = fill(strings.again_detail, { when, benefit: body.offer_title });
    return { kind: "again", word: strings.again, main: body.benefit, units: formatUnits(body, context), detail };
  }
  if (status >= 500 || status === 429) return retried(status, body, strings);
  return refused(body, context);
}

// Returns "2 of 3", or an empty text for a coupon of one unit.
function formatUnits({ unit, units }, { strings }) {
  return units > 1 ? fill(strings.units, { unit, units }) : "";
}

export function showUnsure(strings, sentence = strings.no_answer) {
  return { kind: "unsure", word: strings.unsure, main: sentence, mayRetry: true };
}

function retried(status, body, strings) {
  if (status !== 429) return showUnsure(strings);
  return { kind: "no", word: strings.refused, main: fill(strings.rate_limited, { seconds: body.retry_after_s }) };
}

function refused(body, context) {
  const { strings } = context;
  switch (body.code) {
    case "already_redeemed":
      return { kind: "used", word: strings.used, main: usedWhere(body, context) };
    case "presence_required": {
      const main = body.may_vouch ? strings.presence_vouch : strings.presence_required;
      return { kind: "presence", word: strings.presence, main, mayVouch: Boolean(body.may_vouch) };
    }
    case "screenshot":
      return { kind: "reopen", word: strings.reopen, main: strings.screenshot };
    case "profile_forbidden":
      return { kind: "device", word: strings.device, main: strings.profile_forbidden };
    case "scanned_at_implausible":
      return { kind: "device", word: strings.device, main: strings.clock_wrong };
    default: {
      const isCorrectable = body.code === "code_malformed" || body.code === "code_unknown";
      return { kind: "no", word: strings.refused, main: reason(body, context), isCorrectable };
    }
  }
}

function usedWhere(body, context) {
  const { strings } = context;
  const place = body.same_device ? strings.used_here : body.same_store ? strings.used_store : strings.used_elsewhere;
  return fill(place, { when: formatWhen(body.redeemed_at, context), store: body.store.name });
}

function reason(body, context) {
  const { strings } = context;
  switch (body.code) {
    case "code_malformed":
      return malformed(body, strings);
    case "coupon_expired":
      return fill(strings.coupon_expired, { when: formatWhen(body.valid_until, context) });
    case "not_yet_valid":
      return fill(strings.not_yet_valid, { when: formatWhen(body.valid_from, context) });
    case "recalled":
      return fill(strings.recalled, { when: formatWhen(body.recalled_at, context) });
    case "outside_hours":
      return describeHours(body, context);
    case "wrong_store":
      return fill(strings.wrong_store, { stores: body.valid_stores.map((store) => nameStore(store, context)).join(", ") });
    case "redeem_cap_reached":
      return body.scope === "store" ? strings.redeem_cap_store : strings.redeem_cap_campaign;
    // The text is too long for a code; the other fields are set by this page.
    case "invalid_input":
      return strings.code_unknown;
    case "code_unknown":
    case "already_voided":
    case "training_code":
      return strings[body.code];
    default:
      return fill(strings.unexpected, { detail: body.detail ?? body.title });
  }
}

function describeHours({ next_opening_at, next_closing_at }, context) {
  if (!next_opening_at) return context.strings.outside_hours_over;
  const values = { when: formatWhen(next_opening_at, context), until: formatTime(next_closing_at, context) };
  return fill(context.strings.outside_hours, values);
}

function malformed(body, strings) {
  if (body.fault === "length") return fill(strings.malformed_length, { length: body.length });
  if (body.fault === "character") {
    return fill(strings.malformed_character, { positions: body.positions.join(", ") });
  }
  return strings.malformed_check;
}

function nameStore({ name, distance_m }, { language }) {
  const isNear = distance_m < 1000;
  const format = { style: "unit", unit: isNear ? "meter" : "kilometer", maximumFractionDigits: 1 };
  return `${name} (${new Intl.NumberFormat(language, format).format(isNear ? distance_m : distance_m / 1000)})`;
}

// Describes an offline decision of `offline.js`.
export function describeLocal(decision, context) {
  const { strings } = context;
  switch (decision.outcome) {
    case "later": {
      const { offer, unit } = decision;
      const units = formatUnits({ unit, units: offer.units }, context);
      return { kind: "later", word: strings.later, main: offer.benefit, units, detail: strings.later_detail };
    }
    case "used":
      return { kind: "used", word: strings.used, main: fill(strings.used_here, { when: formatWhen(decision.at, context) }) };
    case "used_waiting":
      return { kind: "used", word: strings.used, main: fill(strings.used_waiting, { when: formatWhen(decision.at, context) }) };
    case "screenshot":
      return { kind: "reopen", word: strings.reopen, main: strings.screenshot };
    case "expired":
      return { kind: "no", word: strings.refused, main: fill(strings.coupon_expired, { when: formatWhen(decision.at, context) }) };
    case "not_yet_valid":
      return { kind: "no", word: strings.refused, main: fill(strings.not_yet_valid, { when: formatWhen(decision.at, context) }) };
    case "revoked":
      return { kind: "no", word: strings.refused, main: strings.revoked };
    case "forged":
      return { kind: "no", word: strings.refused, main: strings.code_unknown };
    case "allowance_spent":
    case "keys_too_old":
    case "no_local_check":
    case "typed_offline":
      return showUnsure(strings, strings[decision.outcome]);
    default:
      return showUnsure(strings, strings.not_offline);
  }
}

const WHY = {
  code_unknown: "why_unknown",
  coupon_gone: "why_ended",
  coupon_expired: "why_ended",
  not_yet_valid: "why_ended",
  recalled: "why_recalled",
  in_future: "why_clock",
  before_enrolment: "why_clock",
  too_old: "why_late",
  wrong_store: "why_store",
  not_offline: "why_offline",
  online_only: "why_offline",
  screenshot: "why_picture",
  needs_amount: "why_amount",
  allowance_spent: "why_allowance",
};

// Describes an offline scan that was not accepted, in one line for staff.
export function describeNotice({ benefit, scanned_at, outcome, reason: why, taken_before }, context) {
  const { strings } = context;
  const values = { benefit, when: formatWhen(scanned_at, context), reason: strings[WHY[why]] ?? strings.why_other };
  if (outcome === "conflict" && taken_before) {
    const before = formatWhen(taken_before.redeemed_at, context);
    return fill(strings.conflict, { ...values, before, store: taken_before.store.name });
  }
  return fill(outcome === "conflict" ? strings.conflict_plain : strings.out_of_policy, values);
}
