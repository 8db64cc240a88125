// The queue of scans: shows its length and age, sends it, and shows notices of scans that were not accepted.

import { sendScans, sync } from "./api.js";
import { describeNotice, fill, formatAge } from "./answers.js";
import { canVerify } from "./offline.js";
import { $, announce, ask, context, isConnected, strings, theDevice } from "./page.js";
import * as store from "./store.js";

const BATCH = 100;
const TAKEN_KEPT_MS = 48 * 3600 * 1000;

let lastSync = null;

export const storedSync = () => lastSync;

export async function loadSync() {
  lastSync = (await store.loadSync().catch(() => null)) ?? null;
}

// Loads keys, offers and the allowance for offline use.
export async function syncNow() {
  const startedAt = Date.now();
  const answer = await ask(() => sync(theDevice().token));
  if (answer?.status !== 200) return;
  const middle = (startedAt + Date.now()) / 2;
  lastSync = { ...answer.body, ahead_ms: middle - Date.parse(answer.body.server_time), synced_at: Date.now() };
  await store.saveSync(lastSync).catch(() => {});
  await store.forgetTakenBefore(Date.now() - TAKEN_KEPT_MS).catch(() => {});
}

export async function showQueue() {
  const scans = await store.queued().catch(() => []);
  const age = scans.length ? formatAge(Date.now() - Date.parse(scans[0].scanned_at), context()) : "";
  $("queue").textContent = scans.length ? fill(strings.waiting, { count: scans.length, age }) : strings.nothing_waits;
  $("queue").dataset.waiting = scans.length;
  return scans;
}

// Sends the oldest scans first, from one page of this till at a time. A scan leaves the queue once the server answered.
export async function sendQueue() {
  if (!navigator.locks) return sendAll();
  return navigator.locks.request("doorstep-till-queue", { ifAvailable: true }, (lock) => (lock ? sendAll() : undefined));
}

async function sendAll() {
  let sent = 0;
  for (;;) {
    const scans = (await store.queued().catch(() => [])).slice(0, BATCH);
    if (scans.length === 0 || !theDevice()) break;
    const settled = await sendSome(scans);
    if (settled === 0) break;
    sent += settled;
  }
  await showQueue();
  await showNotices();
  if (sent > 0 && $("notices").hidden) announce(fill(strings.sent, { count: sent }));
  return sent;
}

// Returns the number of scans that the server settled.
async function sendSome(scans) {
  const bodies = scans.map(({ token, nonce, scanned_at, amount }) => ({ token, nonce, scanned_at, ...(amount && { amount }) }));
  const answer = await ask(() => sendScans(theDevice().token, bodies));
  if (answer?.status === 200) return settle(scans, answer.body.scans);
  const isUnreadable = answer?.status === 400 || answer?.status === 422;
  if (!isUnreadable) return 0;
  // A scan that the server cannot read must not block the others, so send them singly.
  if (scans.length === 1) return settle(scans, [{ outcome: "out_of_policy", reason: "malformed" }]);
  let settled = 0;
  for (const scan of scans) settled += await sendSome([scan]);
  return settled;
}

async function settle(scans, results) {
  // One result per scan, in the order of sending.
  const settled = scans.slice(0, results.length);
  const bad = settled
    .map(({ benefit, scanned_at, nonce }, index) => ({ ...results[index], benefit, scanned_at, nonce }))
    .filter((result) => !isTaken(result));
  await store.addNotices(bad);
  for (const [index, scan] of settled.entries()) {
    if (isTaken(results[index])) await rememberUnit(scan, results[index].redemption_id);
  }
  await store.dequeue(settled);
  return settled.length;
}

const isTaken = ({ outcome }) => outcome === "accepted" || outcome === "replay";

// Needed until the next sync, which lists coupons that are used up. A scan that an older version of this page queued has
// no `units`.
async function rememberUnit({ coupon, units = 1, scanned_at }, redemption) {
  const taken = await store.takenOf(coupon);
  // A retry: the page was closed before it removed the scan from the queue.
  if (taken?.redemptions?.includes(redemption)) return;
  const left = taken?.units_left ?? units;
  await store.rememberTaken({ coupon, units_left: Math.max(0, left - 1), at: scanned_at, redemption });
}

export async function showNotices() {
  const notices = theDevice() ? await store.notices().catch(() => []) : [];
  const lines = notices.map((notice) => {
    const line = document.createElement("li");
    line.textContent = describeNotice(notice, context());
    return line;
  });
  $("notices-list").replaceChildren(...lines);
  $("notices").hidden = lines.length === 0;
}

export async function closeNotices() {
  await store.clearNotices();
  await showNotices();
}

// Announces what the till can still do offline.
export async function announceConnection() {
  if (isConnected()) return announce(strings.back_online);
  if (!(await canVerify())) return announce(strings.no_local_check, { stays: true });
  return announce(lastSync?.offers.length ? strings.went_offline : strings.went_offline_blind, { stays: true });
}
