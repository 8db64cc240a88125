// Decides offline whether a coupon may be redeemed, from its signature and the last sync. Another till may have redeemed
// it, so there is an allowance and the server checks the scan later.

const VERSION = 1;
const SIGNATURE_BYTES = 64;
const PAYLOAD_BYTES = 34;
// An older code is a picture. The customer's clock may be ahead by the same number of steps.
const MAX_STEPS_OFF = 2;
// An older sync is not used.
const MAX_SYNC_AGE_MS = 24 * 3600 * 1000;

let verifies = null;

// Returns whether this browser can verify Ed25519 signatures. Some cannot, and none can without HTTPS or localhost.
export function canVerify() {
  verifies ??= Promise.resolve()
    .then(() => crypto.subtle.generateKey({ name: "Ed25519" }, false, ["sign", "verify"]))
    .then(() => true)
    .catch(() => false);
  return verifies;
}

export function readToken(token) {
  const parts = /^D1\.([\w-]+)\.(\d+)\.[\w-]+$/.exec(token);
  if (!parts) return null;
  const signed = fromBase64Url(parts[1]);
  if (signed?.length !== PAYLOAD_BYTES + SIGNATURE_BYTES || signed[0] !== VERSION) return null;
  const view = new DataView(signed.buffer);
  return {
    payload: signed.slice(0, PAYLOAD_BYTES),
    signature: signed.slice(PAYLOAD_BYTES),
    keyId: signed[1],
    coupon: toUuid(signed.slice(2, 18)),
    validFrom: view.getUint32(18) * 1000,
    validUntil: view.getUint32(22) * 1000,
    digest: signed.slice(26, PAYLOAD_BYTES),
    step: Number(parts[2]),
  };
}

// `sync` is the last sync with `ahead_ms` (this clock minus the server's) and `synced_at` (on this clock).
export async function decide(token, { sync, queue, taken, now }) {
  if (!(await canVerify())) return { outcome: "no_local_check" };
  const read = readToken(token);
  if (!read || !sync) return { outcome: "unknown" };
  if (now - sync.synced_at > MAX_SYNC_AGE_MS) return { outcome: "keys_too_old" };
  const key = sync.keys.find(({ id }) => id === read.keyId);
  // An unknown key may be a new one.
  if (!key) return { outcome: "unknown" };
  if (!(await isSignedBy(key, read))) return { outcome: "forged" };
  return evaluate(read, { sync, queue, taken, serverNow: now - sync.ahead_ms });
}

function evaluate(read, { sync, queue, taken, serverNow }) {
  if (serverNow < read.validFrom) return { outcome: "not_yet_valid", at: read.validFrom };
  if (serverNow >= read.validUntil) return { outcome: "expired", at: read.validUntil };
  // Before `revoked`, which also contains this coupon but not the time.
  if (taken?.units_left === 0) return { outcome: "used", at: taken.at };
  if (sync.revoked.includes(read.coupon)) return { outcome: "revoked" };
  const step = Math.floor(serverNow / (sync.step_s * 1000));
  if (Math.abs(step - read.step) > MAX_STEPS_OFF) return { outcome: "screenshot" };
  const offer = sync.offers.find(({ digest }) => sameBytes(digest, read.digest));
  if (!offer) return { outcome: "unknown" };
  return withinLimits(read, offer, { sync, queue, taken });
}

function withinLimits(read, offer, { sync, queue, taken }) {
  const waiting = queue.filter(({ coupon }) => coupon === read.coupon);
  const leftBefore = taken?.units_left ?? offer.units;
  if (waiting.length >= leftBefore) return { outcome: "used_waiting", at: waiting.at(-1).scanned_at };
  const { coupons_left, value_left } = sync.allowance;
  const given = queue.reduce((sum, { value }) => sum + cents(value), 0);
  const isSpent = queue.length >= coupons_left || given + cents(offer.value) > cents(value_left);
  if (isSpent) return { outcome: "allowance_spent" };
  const unit = offer.units - leftBefore + waiting.length + 1;
  return { outcome: "later", offer, unit, coupon: read.coupon };
}

async function isSignedBy(key, { payload, signature }) {
  try {
    const raw = fromBase64Url(key.public_key);
    const imported = await crypto.subtle.importKey("raw", raw, { name: "Ed25519" }, false, ["verify"]);
    return await crypto.subtle.verify({ name: "Ed25519" }, imported, signature, payload);
  } catch {
    return false;
  }
}

// Amounts are compared in whole cents, as binary fractions are inexact.
const cents = (value) => Math.round(Number(value ?? 0) * 100);

function fromBase64Url(text) {
  try {
    const plain = atob(text.replaceAll("-", "+").replaceAll("_", "/"));
    return Uint8Array.from(plain, (character) => character.charCodeAt(0));
  } catch {
    return null;
  }
}

function toUuid(bytes) {
  const hex = [...bytes].map((byte) => byte.toString(16).padStart(2, "0")).join("");
  return hex.replace(/^(.{8})(.{4})(.{4})(.{4})/, "$1-$2-$3-$4-");
}

function sameBytes(text, bytes) {
  const other = fromBase64Url(text);
  return other?.length === bytes.length && bytes.every((byte, index) => byte === other[index]);
}
