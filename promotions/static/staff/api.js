// Calls of the till's API. An answer that never came is an outcome of its own: nobody knows what the server did.

const TIMEOUT_MS = 4000;
const PAUSES_MS = [400, 1200];

export class NoAnswer extends Error {}

async function call(method, path, { token, body } = {}) {
  const headers = { Accept: "application/json" };
  if (token) headers.Authorization = `Bearer ${token}`;
  if (body) headers["Content-Type"] = "application/json";
  let response;
  try {
    response = await fetch(`/v1/staff/${path}`, {
      method,
      headers,
      body: body && JSON.stringify(body),
      cache: "no-store",
      credentials: "omit",
      signal: AbortSignal.timeout(TIMEOUT_MS),
    });
    return { status: response.status, body: await response.json() };
  } catch (error) {
    throw new NoAnswer(`${method} ${path}`, { cause: error });
  }
}

export const enrol = (token) => call("POST", "enrolments", { body: { token } });
export const me = (token) => call("GET", "me", { token });
export const recent = (token) => call("GET", "redemptions", { token });
export const takeBack = (token, id, reason) => call("POST", `redemptions/${id}/void`, { token, body: { reason } });

// The same nonce goes out every time, so a scan the server took without our knowing is answered as a repeat.
export async function redeem(token, scan) {
  for (const pause of [...PAUSES_MS, null]) {
    try {
      const answer = await call("POST", "redemptions", { token, body: scan });
      if (answer.status < 500 || pause === null) return answer;
    } catch (error) {
      if (!(error instanceof NoAnswer) || pause === null) throw error;
    }
    await new Promise((resolve) => setTimeout(resolve, pause));
  }
}

// A QR holds a token, bare or at the end of an address; a typed or dictated code is sent as it is.
export function readScan(text) {
  const last = text.trim().split(/[/#?=&]/).pop();
  return /^D1(\.[A-Za-z0-9_-]+){3}$/.test(last) ? { token: last, source: "camera" } : { code: text.trim(), source: "typed" };
}

export function makeNonce() {
  if (crypto.randomUUID) return crypto.randomUUID();
  const bytes = crypto.getRandomValues(new Uint8Array(16));
  bytes[6] = (bytes[6] & 0x0f) | 0x40;
  bytes[8] = (bytes[8] & 0x3f) | 0x80;
  const hex = [...bytes].map((byte) => byte.toString(16).padStart(2, "0")).join("");
  return hex.replace(/^(.{8})(.{4})(.{4})(.{4})/, "$1-$2-$3-$4-");
}
