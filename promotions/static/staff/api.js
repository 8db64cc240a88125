// Calls of the till's API. `NoAnswer` means that the server may or may not have processed the call.

const TIMEOUT_MS = 4000;
// Checking a PIN is slow on purpose.
const PIN_TIMEOUT_MS = 15_000;
const PAUSE_MS = 300;
// A failure faster than this means that there is no network; an immediate retry costs no time.
const FAST_FAILURE_MS = 1000;

export class NoAnswer extends Error {}

async function call(method, path, { token, body, timeoutMs = TIMEOUT_MS } = {}) {
  const headers = { Accept: "application/json" };
  if (token) headers.Authorization = `Bearer ${token}`;
  if (body) headers["Content-Type"] = "application/json";
  try {
    const response = await fetch(`/v1/staff/${path}`, {
      method,
      headers,
      body: body && JSON.stringify(body),
      cache: "no-store",
      credentials: "omit",
      signal: AbortSignal.timeout(timeoutMs),
    });
    return { status: response.status, body: response.status === 204 ? null : await response.json() };
  } catch (error) {
    throw new NoAnswer(`${method} ${path}`, { cause: error });
  }
}

export const enrol = (token) => call("POST", "enrolments", { body: { token } });
export const me = (token) => call("GET", "me", { token });
export const signIn = (token, initials, pin) =>
  call("POST", "sessions", { token, body: { initials, pin }, timeoutMs: PIN_TIMEOUT_MS });
export const signOut = (token) => call("DELETE", "sessions", { token });
export const recent = (token, cursor) =>
  call("GET", cursor ? `redemptions?cursor=${encodeURIComponent(cursor)}` : "redemptions", { token });
export const voidRedemption = (token, id, reason) => call("POST", `redemptions/${id}/void`, { token, body: { reason } });
export const sync = (token) => call("POST", "sync", { token, body: { device_time: new Date().toISOString() } });
export const sendScans = (token, scans) => call("POST", "scans", { token, body: { scans } });

// Every retry sends the same nonce, so the server answers a scan that it already recorded as a replay.
export async function redeem(token, scan) {
  const startedAt = performance.now();
  const answer = await call("POST", "redemptions", { token, body: scan }).catch((error) => error);
  const failed = answer instanceof NoAnswer || answer.status >= 500;
  if (failed && performance.now() - startedAt < FAST_FAILURE_MS) {
    await new Promise((resolve) => setTimeout(resolve, PAUSE_MS));
    return call("POST", "redemptions", { token, body: scan });
  }
  if (answer instanceof Error) throw answer;
  return answer;
}

// A QR contains a signed token, alone or at the end of an address. Any other text is sent unchanged as a typed code.
export function readScan(text) {
  const last = text.trim().split(/[/#?=&]/).pop();
  const isToken = /^D1\.[\w-]+\.\d+\.[\w-]+$/.test(last);
  return isToken ? { token: last, source: "camera" } : { code: text.trim(), source: "typed" };
}

export function makeNonce() {
  if (crypto.randomUUID) return crypto.randomUUID();
  const bytes = crypto.getRandomValues(new Uint8Array(16));
  bytes[6] = (bytes[6] & 0x0f) | 0x40;
  bytes[8] = (bytes[8] & 0x3f) | 0x80;
  const hex = [...bytes].map((byte) => byte.toString(16).padStart(2, "0")).join("");
  return hex.replace(/^(.{8})(.{4})(.{4})(.{4})/, "$1-$2-$3-$4-");
}
