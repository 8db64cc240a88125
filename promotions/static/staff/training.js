// Training: builds the server's answer for a practice code. Nothing is sent.

const MINUTE_MS = 60_000;

export function practise(outcome, { strings, now }) {
  const at = (minutes) => new Date(now.getTime() + minutes * MINUTE_MS).toISOString();
  const given = { benefit: strings.training_benefit, offer_title: strings.training_benefit, unit: 1, units: 1, units_left: 0 };
  const refused = (status, code, fields = {}) => ({ status, body: { code, detail: code, ...fields } });
  const answers = {
    new: () => ({ status: 201, body: { ...given, redeemed_at: at(0) } }),
    units: () => ({ status: 201, body: { ...given, units: 3, units_left: 2, redeemed_at: at(0) } }),
    replay: () => ({ status: 200, body: { ...given, redeemed_at: at(-1) } }),
    already_redeemed: () =>
      refused(409, "already_redeemed", { redeemed_at: at(-26), same_device: false, same_store: true, store: { name: "" } }),
    coupon_expired: () => refused(410, "coupon_expired", { valid_until: at(-600) }),
    not_yet_valid: () => refused(422, "not_yet_valid", { valid_from: at(35) }),
    recalled: () => refused(410, "recalled", { recalled_at: at(-600) }),
    outside_hours: () => refused(422, "outside_hours", { next_opening_at: at(95), next_closing_at: at(215) }),
    wrong_store: () => refused(422, "wrong_store", { valid_stores: [{ name: strings.training_store, distance_m: 350 }] }),
    presence_required: () => refused(422, "presence_required", { may_vouch: true }),
    redeem_cap_reached: () => refused(422, "redeem_cap_reached", { scope: "store" }),
    code_malformed: () => refused(422, "code_malformed", { fault: "check" }),
    no_answer: () => ({ status: 503, body: {} }),
  };
  return (answers[outcome] ?? (() => refused(422, outcome)))();
}
