// From the server's answer to what the screen says: { kind, word, main, detail, mendable }. Pure: no page, no network.

export function fill(text, values) {
  return text.replace(/\{(\w+)\}/g, (_, name) => values[name] ?? "");
}

// "today 12:04", in the store's time zone.
export function tellWhen(instant, { strings, language, timezone, now }) {
  const day = (date) => new Intl.DateTimeFormat("en-CA", { timeZone: timezone }).format(date);
  const moment = new Date(instant);
  const time = tellTime(instant, { language, timezone });
  const distance = Math.round((Date.parse(day(moment)) - Date.parse(day(now))) / 86_400_000);
  const near = { "-1": strings.yesterday, 0: strings.today, 1: strings.tomorrow }[distance];
  if (near) return fill(near, { time });
  const date = new Intl.DateTimeFormat(language, { timeZone: timezone, day: "numeric", month: "long" }).format(moment);
  return `${date} ${time}`;
}

export function tellTime(instant, { language, timezone }) {
  const format = { timeZone: timezone, hour: "2-digit", minute: "2-digit", hourCycle: "h23" };
  return new Intl.DateTimeFormat(language, format).format(new Date(instant));
}

export function describe({ status, body }, context) {
  const { strings } = context;
  if (status === 201) {
    const detail = fill(strings.give_detail, { offer: body.offer_title });
    return { kind: "give", word: strings.give, main: body.benefit, detail };
  }
  if (status === 200) {
    const when = tellTime(body.redeemed_at, context);
    const detail = fill(strings.again_detail, { when, benefit: body.offer_title });
    return { kind: "again", word: strings.again, main: body.benefit, detail };
  }
  if (status >= 500) return notKnown(strings);
  if (body.code === "already_redeemed") {
    return { kind: "used", word: strings.used, main: usedWhere(body, context), detail: "" };
  }
  const mendable = body.code === "code_malformed" || body.code === "code_unknown";
  return { kind: "no", word: strings.refused, main: reason(body, context), detail: "", mendable };
}

export function notKnown(strings) {
  return { kind: "unsure", word: strings.unsure, main: strings.no_answer, detail: "" };
}

function usedWhere(body, context) {
  const { strings } = context;
  const place = body.same_device ? strings.used_here : body.same_store ? strings.used_store : strings.used_elsewhere;
  return fill(place, { when: tellWhen(body.redeemed_at, context), store: body.store.name });
}

function reason(body, context) {
  const { strings } = context;
  switch (body.code) {
    case "code_malformed":
      return malformed(body, strings);
    case "coupon_expired":
      return fill(strings.coupon_expired, { when: tellWhen(body.valid_until, context) });
    case "not_yet_valid":
      return fill(strings.not_yet_valid, { when: tellWhen(body.valid_from, context) });
    case "wrong_store":
      return fill(strings.wrong_store, { stores: body.valid_stores.map((store) => nameStore(store, context)).join(", ") });
    case "rate_limited":
      return fill(strings.rate_limited, { seconds: body.retry_after_s });
    case "code_unknown":
    case "already_voided":
      return strings[body.code];
    default:
      return fill(strings.unexpected, { detail: body.detail });
  }
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

export function tellAmount(amount, { language }) {
  return new Intl.NumberFormat(language, { minimumFractionDigits: 2 }).format(amount);
}
