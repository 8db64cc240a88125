// The till page: who this device is, one scan at a time, one answer for it, and the last scans with their undo.

import { describe, fill, notKnown, tellAmount, tellTime, tellWhen } from "./answers.js";
import { enrol, makeNonce, me, NoAnswer, readScan, recent, redeem, takeBack } from "./api.js";
import { Camera, canScan } from "./camera.js";
import { allowSound, signal } from "./signals.js";

const KEPT_AS = "doorstep.till";
const LOOK_AGAIN_MS = 60_000;

const $ = (id) => document.getElementById(id);
const strings = JSON.parse($("strings").textContent);
const language = document.documentElement.lang;

let device = JSON.parse(localStorage.getItem(KEPT_AS) ?? "null");
let pending = null;
let undoing = null;

const camera = new Camera($("video"), (text) => scan(text));
const context = () => ({ strings, language, timezone: device.store.timezone, now: new Date() });

// Who this device is

function keepDevice(value) {
  device = value;
  if (value) localStorage.setItem(KEPT_AS, JSON.stringify(value));
  else localStorage.removeItem(KEPT_AS);
  showPage();
}

function showPage() {
  $("enrol").hidden = device !== null;
  $("till").hidden = device === null;
  $("store").textContent = device?.store.name ?? strings.app_name;
  $("label").textContent = device?.label ?? "";
}

async function enrolWith(token) {
  $("enrol-fault").textContent = "";
  const answer = await ask(() => enrol(token));
  if (answer?.status === 201) {
    keepDevice({ token: answer.body.access_token, store: answer.body.store, label: "" });
    await refresh();
  } else {
    $("enrol-fault").textContent = answer ? strings.enrol_refused : strings.no_answer;
  }
}

function switchOff() {
  camera.close();
  keepDevice(null);
  $("enrol-fault").textContent = strings.device_off;
}

// Talking to the server: null when no answer came

async function ask(send) {
  try {
    const answer = await send();
    showConnection(true);
    if (answer.status === 401) switchOff();
    return answer;
  } catch (error) {
    if (!(error instanceof NoAnswer)) throw error;
    showConnection(false);
    return null;
  }
}

function showConnection(isUp) {
  $("connection").dataset.state = isUp ? "online" : "offline";
  $("connection").textContent = isUp ? strings.online : strings.offline;
}

async function refresh() {
  if (!device) return;
  const answer = await ask(() => me(device.token));
  if (answer?.status === 200) keepDevice({ ...device, store: answer.body.store, label: answer.body.label });
  await showRecent();
}

// Scanning

function readAmount() {
  const text = $("amount").value.trim().replace(",", ".");
  if (text === "") return {};
  return /^\d{1,5}(\.\d{1,2})?$/.test(text) ? { amount: text } : null;
}

function scan(text) {
  if (pending || text.trim() === "") return;
  const amount = readAmount();
  $("scan-fault").textContent = amount ? "" : strings.amount_wrong;
  if (!amount) return;
  pending = { ...readScan(text), ...amount, nonce: makeNonce(), scanned_at: new Date().toISOString() };
  sendPending();
}

async function sendPending() {
  camera.pause();
  $("scan-form").setAttribute("aria-busy", "true");
  document.querySelector("#scan-form .main").textContent = strings.checking;
  const answer = await ask(() => redeem(device.token, pending));
  $("scan-form").removeAttribute("aria-busy");
  document.querySelector("#scan-form .main").textContent = strings.submit;
  if (device) showAnswer(answer ? describe(answer, context()) : notKnown(strings));
  else pending = null;
}

function showAnswer({ kind, word, main, detail, mendable = false }) {
  $("answer").dataset.kind = kind;
  $("answer").dataset.mendable = mendable;
  $("answer-word").textContent = word;
  $("answer-main").textContent = main;
  $("answer-detail").textContent = detail;
  $("answer-retry").hidden = kind !== "unsure";
  if (!$("answer").open) $("answer").showModal();
  $(kind === "unsure" ? "answer-retry" : "answer-next").focus();
  signal(kind);
}

function closeAnswer() {
  pending = null;
  if ($("answer").dataset.mendable === "false") $("scan-form").reset();
  camera.resume();
  showRecent();
}

// Camera

async function switchCamera() {
  if (camera.isOpen) {
    camera.close();
  } else {
    $("camera-note").hidden = true;
    try {
      await camera.open();
    } catch {
      camera.close();
      $("camera-note").textContent = strings.camera_denied;
      $("camera-note").hidden = false;
    }
  }
  $("viewfinder").hidden = !camera.isOpen;
  $("camera-label").textContent = camera.isOpen ? strings.camera_stop : strings.camera_start;
}

function offerCamera() {
  $("camera-button").hidden = !canScan();
  $("camera-note").hidden = canScan();
  $("camera-note").textContent = strings.camera_missing;
}

// The last scans

async function showRecent() {
  if (!device) return;
  const answer = await ask(() => recent(device.token));
  if (answer?.status !== 200) return;
  const rows = answer.body.redemptions;
  $("recent-none").hidden = rows.length > 0;
  $("recent").replaceChildren(...rows.map(recentRow));
}

function recentRow(row) {
  const item = document.createElement("li");
  const when = document.createElement("time");
  when.dateTime = row.redeemed_at;
  when.textContent = tellWhen(row.redeemed_at, context());
  const what = document.createElement("span");
  what.textContent = row.amount ? `${row.benefit} · ${tellAmount(row.amount, context())}` : row.benefit;
  item.append(when, what);
  if (row.voided_at) {
    const mark = document.createElement("em");
    mark.textContent = `${strings.undone} ${tellTime(row.voided_at, context())}`;
    item.append(mark);
  } else if (Date.parse(row.voidable_until) > Date.now()) {
    const button = document.createElement("button");
    button.type = "button";
    button.className = "quiet";
    button.textContent = strings.undo;
    button.setAttribute("aria-label", fill(strings.undo_title, row));
    button.addEventListener("click", () => askUndo(row));
    item.append(button);
  }
  return item;
}

function askUndo(row) {
  undoing = row;
  $("undo-title").textContent = fill(strings.undo_title, row);
  $("recent-fault").textContent = "";
  $("undo").showModal();
}

async function undo(reason) {
  $("undo").close();
  const answer = await ask(() => takeBack(device.token, undoing.id, reason));
  const isDone = answer?.status === 201 || answer?.body.code === "already_voided";
  if (!isDone && device) {
    const isLate = answer?.body.code === "void_too_late";
    $("recent-fault").textContent = isLate ? strings.void_too_late : strings.undo_failed;
  }
  await showRecent();
}

// Wiring

$("scan-form").addEventListener("submit", (event) => {
  event.preventDefault();
  scan($("code").value);
});
$("enrol-form").addEventListener("submit", (event) => {
  event.preventDefault();
  enrolWith($("enrol-token").value.trim());
});
$("undo-form").addEventListener("submit", (event) => {
  event.preventDefault();
  undo(event.submitter.value);
});
$("undo-cancel").addEventListener("click", () => $("undo").close());
$("answer-next").addEventListener("click", () => $("answer").close());
$("answer-retry").addEventListener("click", sendPending);
$("answer").addEventListener("close", closeAnswer);
$("camera-button").addEventListener("click", switchCamera);
$("language").addEventListener("click", () => {
  document.cookie = `django_language=${$("language").lang}; path=/; max-age=31536000; SameSite=Lax`;
  location.reload();
});
document.addEventListener("pointerdown", allowSound, { once: true });
document.addEventListener("keydown", allowSound, { once: true });
window.addEventListener("online", refresh);
window.addEventListener("offline", () => showConnection(false));
window.addEventListener("hashchange", start);
setInterval(() => document.hidden || refresh(), LOOK_AGAIN_MS);
navigator.serviceWorker?.register(document.body.dataset.worker, { scope: "/staff/" }).catch(() => {});

function start() {
  const token = new URLSearchParams(location.hash.slice(1)).get("enrol");
  showPage();
  offerCamera();
  if (token) {
    // The token is good once; it must not stay in the address or the history.
    history.replaceState(null, "", location.pathname);
    enrolWith(token);
  } else {
    refresh();
  }
}

start();
