// The till page: one scan at a time and one answer for it, from the server or, offline, from this device.

import { describe, describeLocal } from "./answers.js";
import { enrol, makeNonce, readScan, redeem } from "./api.js";
import { Wedge } from "./gate.js";
import { isLocked, lockUntilSignedIn, refreshDevice, wireLock } from "./lock.js";
import { decide, readToken } from "./offline.js";
import { $, announce, ask, context, isConnected, keepDevice, setConnected, strings, theDevice } from "./page.js";
import { whenConnectionChanges, whenDeviceChanges } from "./page.js";
import { forgetRecent, showRecent, showWaiting, wireRecent } from "./recent.js";
import { allowSound, signal } from "./signals.js";
import * as store from "./store.js";
import { practise } from "./training.js";
import { closeCamera, offerCamera, pauseCamera, reopenCamera, resumeCamera, wireCamera } from "./viewfinder.js";
import { announceConnection, closeNotices, storedSync, loadSync, sendQueue, showNotices, showQueue, syncNow } from "./waiting.js";

const REFRESH_MS = 60_000;
const QUEUE_AGE_MS = 10_000;
const PROBE_MS = 5000;
// A hand scanner's second Enter or an early tap must not close an answer before it is read.
const MIN_ANSWER_MS = 300;

let pending = null;
// The request for `pending` runs. Until its answer is shown, no other scan may start.
let isSending = false;
let isTraining = false;
let shownAt = 0;
let refreshing = null;

const wedge = new Wedge((text) => {
  $("scan-form").reset();
  if (isSending || isFresh()) return false;
  if ($("answer").open) closeAnswer();
  scan(text);
  return true;
});

// Parts of the page

function showPage() {
  const device = theDevice();
  const part = !device ? "enrol" : device.profile === "kiosk" ? "kiosk" : isLocked() ? "lock" : "till";
  const isNew = $(part).hidden;
  for (const id of ["enrol", "kiosk", "lock", "till"]) $(id).hidden = id !== part;
  $("store").textContent = device?.store.name ?? strings.app_name;
  $("label").textContent = [device?.label, part === "till" && device.member?.initials].filter(Boolean).join(" · ");
  $("lock-button").hidden = !device?.hasMembers;
  if (part !== "till") closeCamera();
  else reopenCamera();
  if (part === "lock" && isNew) $($("initials").value ? "pin" : "initials").focus();
}

async function enrolWith(token) {
  $("enrol-fault").textContent = "";
  // The queue was scanned before the new enrolment, so it must be sent with the old one.
  if (theDevice()) await refresh();
  // A kiosk sends no scans; its queue is from an earlier till.
  const isTill = theDevice() && theDevice().profile !== "kiosk";
  if (isTill && (await store.queued().catch(() => [])).length) return announce(strings.enrol_waits, { stays: true });
  const answer = await ask(() => enrol(token));
  if (answer?.status !== 201) {
    $("enrol-fault").textContent = answer ? strings.enrol_refused : strings.no_answer;
    return;
  }
  await store.forgetAll().catch(() => {});
  await loadSync();
  keepDevice({ token: answer.body.access_token, store: answer.body.store, label: "" });
  // Otherwise the browser may delete the queue when its disk is full.
  navigator.storage?.persist?.();
  await refresh();
}

function deviceChanged(device) {
  if (!device) {
    $("enrol-fault").textContent = strings.device_off;
    forgetRecent();
    setTraining(false);
  }
  showPage();
}

function refresh() {
  refreshing ??= refreshAll().finally(() => (refreshing = null));
  return refreshing;
}

async function refreshAll() {
  if (!theDevice()) return;
  await refreshDevice();
  if (!theDevice() || theDevice().profile === "kiosk" || !isConnected()) return;
  await syncNow();
  // The sent scans count against the allowance, and their coupons may be used up.
  if ((await sendQueue()) > 0) await syncNow();
  await showRecent();
}

// The connection

async function connectionChanged(isUp) {
  $("connection").dataset.state = isUp ? "online" : "offline";
  $("connection").textContent = isUp ? strings.online : strings.offline;
  await announceConnection();
  if (isUp) await refresh();
  else setTimeout(probe, PROBE_MS);
}

// Detects that the connection is back.
async function probe() {
  if (isConnected() || !theDevice()) return;
  await refreshDevice();
  if (!isConnected()) setTimeout(probe, PROBE_MS);
}

// Scanning

function scan(text) {
  if (pending || text.trim() === "" || $("till").hidden || $("answer").open || $("ask").open) return;
  pending = { ...readScan(text), nonce: makeNonce(), scanned_at: new Date().toISOString() };
  if (isTraining) answer(train(text.trim()));
  else sendPending();
}

function answer(outcome) {
  if (outcome.code === "needs_amount") askAmount(outcome.benefit);
  else show(outcome);
}

async function sendPending() {
  if (isSending || !pending) return;
  pauseCamera();
  setSending(true);
  const outcome = await findOutcome(pending).finally(() => setSending(false));
  if ($("answer").open && (outcome.code || !theDevice())) $("answer").close();
  if (!theDevice()) pending = null;
  else if (outcome.code === "pin_required") lockUntilSignedIn(sendPending);
  else answer(outcome);
}

function setSending(value) {
  isSending = value;
  $("scan-form").setAttribute("aria-busy", isSending);
  document.querySelector("#scan-form .main").textContent = isSending ? strings.checking : strings.submit;
  for (const name of ["vouch", "retry", "next"]) $(`answer-${name}`).disabled = isSending;
}

// Offline, this device decides a QR at once; a scan that it cannot decide is still sent.
async function findOutcome(scanned) {
  const early = isConnected() ? null : await decideOffline(scanned);
  if (early && !early.mayRetry) return early;
  const answer = await ask(() => redeem(theDevice().token, scanned));
  const isUnanswered = !answer || (answer.status === 503 && answer.body.code !== "busy");
  if (isUnanswered) return early ?? (await decideOffline(scanned));
  await rememberTaken(scanned, answer);
  const { code, benefit } = answer.body;
  if (code === "pin_required" || code === "needs_amount") return { code, benefit };
  return describe(answer, context());
}

async function rememberTaken(scanned, { status, body }) {
  const read = scanned.token && readToken(scanned.token);
  if (!read || (status !== 201 && status !== 200)) return;
  const taken = { coupon: read.coupon, units_left: body.units_left ?? 0, at: body.redeemed_at, redemption: body.id };
  await store.rememberTaken(taken).catch(() => {});
}

// Decides offline. A scan counts as redeemed only once it is in the queue on the disk.
async function decideOffline(scanned) {
  const about = context();
  if (!scanned.token) return describeLocal({ outcome: "typed_offline" }, about);
  try {
    const queue = await store.queued();
    const coupon = readToken(scanned.token)?.coupon;
    const taken = coupon && (await store.takenOf(coupon));
    const decision = await decide(scanned.token, { sync: storedSync(), queue, taken, now: Date.now() });
    if (decision.outcome !== "later") return describeLocal(decision, about);
    const { benefit, value, units, asks_amount } = decision.offer;
    if (asks_amount && !scanned.amount) return { code: "needs_amount", benefit };
    const { token, nonce, scanned_at, amount } = scanned;
    await store.enqueue({ token, nonce, scanned_at, amount, coupon, benefit, value, units });
    return describeLocal(decision, about);
  } catch {
    return describeLocal({ outcome: "unknown" }, about);
  }
}

function show({ kind, word, main, units = "", detail = "", isCorrectable = false, mayVouch = false, mayRetry = false }) {
  pauseCamera();
  $("answer").dataset.kind = kind;
  $("answer").dataset.isCorrectable = isCorrectable;
  $("answer-word").textContent = word;
  $("answer-main").textContent = main;
  $("answer-main").classList.toggle("sentence", !["give", "again", "later"].includes(kind));
  $("answer-units").textContent = units;
  $("answer-detail").textContent = detail;
  $("answer-training").hidden = !isTraining;
  $("answer-vouch").hidden = !mayVouch;
  $("answer-retry").hidden = !mayRetry || isTraining;
  // Opened again also after a retry: a screen reader reads an alert dialog aloud when it opens.
  $("answer").close();
  $("answer").showModal();
  shownAt = performance.now();
  $(!$("answer-retry").hidden ? "answer-retry" : "answer-next").focus();
  signal(kind);
}

const isFresh = () => $("answer").open && performance.now() - shownAt <= MIN_ANSWER_MS;

function closeAnswer() {
  if (isSending) return;
  $("answer").close();
  pending = null;
  if ($("answer").dataset.isCorrectable === "false") $("scan-form").reset();
  resumeCamera();
  if (isConnected()) showRecent();
  else showWaiting();
}

function vouch() {
  if (isTraining) return show(describe(practise("new", context()), context()));
  if (isSending) return;
  pending = { ...pending, vouch: true };
  return sendPending();
}

// The amount: the same scan is sent again with it

function askAmount(benefit = "") {
  $("ask-benefit").textContent = benefit;
  $("ask-fault").textContent = "";
  $("amount").value = "";
  if ($("answer").open) $("answer").close();
  pauseCamera();
  $("ask").showModal();
  $("amount").focus();
  signal("ask");
}

function pressKey(key) {
  const field = $("amount");
  const text = field.value.replace(",", ".");
  if (key === "back") field.value = field.value.slice(0, -1);
  else if (/^\d{0,5}(\.\d{0,2})?$/.test(text + key)) field.value += key === "." ? $("keypad").dataset.separator : key;
  field.focus();
}

function confirmAmount() {
  const text = $("amount").value.trim().replace(",", ".");
  const isAmount = /^\d{1,5}(\.\d{1,2})?$/.test(text);
  $("ask-fault").textContent = isAmount ? "" : strings.amount_wrong;
  if (!isAmount) return;
  $("ask").close();
  if (isTraining) show(describe(practise("new", context()), context()));
  else {
    pending = { ...pending, amount: text };
    sendPending();
  }
}

function cancelAmount() {
  $("ask").close();
  pending = null;
  resumeCamera();
}

// Training: practice codes, answered by this page

function setTraining(isOn) {
  isTraining = isOn;
  $("training-banner").hidden = !isOn;
  $("practice").hidden = !isOn;
  // Undo would void real redemptions.
  $("recent-card").hidden = isOn;
  $("training-button").setAttribute("aria-pressed", isOn);
  $("training-label").textContent = isOn ? strings.training_stop : strings.training_start;
  const codes = (storedSync()?.training ?? []).map(({ code }) => practiceButton(code));
  $("practice-codes").replaceChildren(...codes);
  if (isOn) window.scrollTo(0, 0);
}

function practiceButton(code) {
  const button = document.createElement("button");
  button.type = "button";
  button.className = "quiet";
  button.textContent = code;
  button.addEventListener("click", () => scan(code));
  return button;
}

function train(text) {
  const plain = text.toUpperCase();
  const found = storedSync()?.training.find(({ code }) => code.toUpperCase() === plain);
  if (found?.outcome === "needs_amount") return { code: "needs_amount", benefit: strings.training_benefit };
  if (found?.outcome === "accepted_offline") {
    const offer = { benefit: strings.training_benefit, units: 1 };
    return describeLocal({ outcome: "later", offer, unit: 1 }, context());
  }
  if (found) return describe(practise(found.outcome, context()), context());
  const main = pending.token || !plain.startsWith("TRAIN") ? strings.training_real : strings.training_unknown;
  return { kind: "no", word: strings.training_word, main };
}

// Wiring

function wireScan() {
  $("scan-form").addEventListener("submit", (event) => {
    event.preventDefault();
    scan($("code").value);
  });
  const next = (event) => {
    event.preventDefault();
    if (!isFresh()) closeAnswer();
  };
  $("answer-next").addEventListener("click", next);
  $("answer").addEventListener("cancel", next);
  $("answer-retry").addEventListener("click", sendPending);
  $("answer-vouch").addEventListener("click", vouch);
  // Runs before any field gets the key, so that the Enter of a hand scanner does not submit the form.
  const listen = (event) => {
    if (wedge.key(event.key, event.timeStamp)) {
      event.preventDefault();
      event.stopPropagation();
    }
  };
  document.addEventListener("keydown", listen, { capture: true });
}

function wireAmount() {
  $("ask-form").addEventListener("submit", (event) => {
    event.preventDefault();
    confirmAmount();
  });
  $("ask").addEventListener("cancel", cancelAmount);
  $("ask-cancel").addEventListener("click", cancelAmount);
  $("keypad").addEventListener("click", (event) => {
    const key = event.target.closest("button")?.dataset.key;
    if (key) pressKey(key);
  });
}

function wirePage() {
  $("enrol-form").addEventListener("submit", (event) => {
    event.preventDefault();
    enrolWith($("enrol-token").value.trim());
  });
  $("notices-close").addEventListener("click", closeNotices);
  $("training-button").addEventListener("click", () => isSending || setTraining(!isTraining));
  $("language").addEventListener("click", () => {
    document.cookie = `django_language=${$("language").lang}; path=/; max-age=31536000; SameSite=Lax`;
    location.reload();
  });
  document.addEventListener("pointerdown", allowSound, { once: true });
  document.addEventListener("keydown", allowSound, { once: true });
  window.addEventListener("online", refresh);
  window.addEventListener("offline", () => setConnected(false));
  window.addEventListener("hashchange", start);
  whenDeviceChanges(deviceChanged);
  whenConnectionChanges(connectionChanged);
  setInterval(() => document.hidden || !isConnected() || refresh(), REFRESH_MS);
  setInterval(() => document.hidden || showQueue(), QUEUE_AGE_MS);
  navigator.serviceWorker?.register(document.body.dataset.worker, { scope: "/staff/" }).catch(() => {});
}

async function start() {
  const token = new URLSearchParams(location.hash.slice(1)).get("enrol");
  // Remove the one-time token from the address and the history.
  if (token) history.replaceState(null, "", location.pathname);
  showPage();
  offerCamera();
  await loadSync();
  if (token) await enrolWith(token);
  else if (theDevice()) {
    await showWaiting();
    await showNotices();
    await refresh();
  }
}

wireScan();
wireCamera(scan);
wireAmount();
wirePage();
wireRecent();
wireLock();
start();
