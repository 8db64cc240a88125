// The kiosk page: shows the store's current code, stores codes for ten minutes, shows an alert when they run out.
// It has no keyboard, so it recovers by itself from sleep, a new release, a lost network and a wrong clock.

import { Codes, drawPath, keep, recall } from "./codes.js";

const KEPT_AS = "doorstep.kiosk";
const TILL_KEPT_AS = "doorstep.till";
const RELOADED_AT = "doorstep.kiosk.reloaded";
const TICK_MS = 250;
const REFRESH_MS = 60_000;
const RETRY_MS = 5_000;
const TIMEOUT_MS = 8_000;
const RELOAD_PAUSE_MS = 600_000;
const MARGIN = 4;

const $ = (id) => document.getElementById(id);
const strings = JSON.parse($("strings").textContent);
const codes = new Codes();
const stillness = matchMedia("(prefers-reduced-motion: reduce)");

let token = readToken();
let shown = null;
let isOffline = false;
let isAsking = false;
let hasAskedForJump = false;
let timer = 0;

// A kiosk that was enrolled on the till page has its credential in that page's storage.
function readToken() {
  return recall(KEPT_AS)?.token ?? recall(TILL_KEPT_AS)?.token ?? null;
}

async function call(method, path, body) {
  const headers = { Accept: "application/json" };
  if (token) headers.Authorization = `Bearer ${token}`;
  if (body) headers["Content-Type"] = "application/json";
  const response = await fetch(`/v1/staff/${path}`, {
    method,
    headers,
    body: body && JSON.stringify(body),
    cache: "no-store",
    credentials: "omit",
    signal: AbortSignal.timeout(TIMEOUT_MS),
  });
  return { status: response.status, body: await response.json() };
}

// Enrolment

async function enrol(given) {
  $("enrol-fault").textContent = "";
  let answer = null;
  try {
    answer = await call("POST", "enrolments", { token: given });
  } catch {
    // No answer: the status is checked below.
  }
  if (answer?.status !== 201) {
    // The QR of a working kiosk was opened again: continue with its credential.
    if (token) return refresh();
    return showEnrolment(answer && answer.status < 500 ? strings.enrol_refused : strings.no_answer);
  }
  token = answer.body.access_token;
  keep(KEPT_AS, JSON.stringify({ token }));
  await refresh();
}

function showEnrolment(fault = "") {
  $("enrol-fault").textContent = fault;
  $("enrol").hidden = false;
  $("kiosk").hidden = true;
}

// The kiosk was switched off: delete the shown code and the stored ones.
function forget(fault) {
  clearTimeout(timer);
  token = null;
  codes.forget();
  localStorage.removeItem(KEPT_AS);
  shown = null;
  $("qr").querySelector("path").removeAttribute("d");
  $("store").textContent = "";
  showEnrolment(fault);
}

// Codes

async function refresh() {
  if (!token || isAsking) return;
  isAsking = true;
  clearTimeout(timer);
  try {
    const answer = await call("GET", "store-codes");
    if (answer.status === 401) return forget(strings.device_off);
    if (answer.status === 403) return forget(strings.is_till);
    isOffline = answer.status !== 200;
    if (!isOffline) {
      codes.take(answer.body);
      hasAskedForJump = false;
      reloadIfNew(answer.body.page_version);
    }
  } catch {
    isOffline = true;
  } finally {
    isAsking = false;
  }
  timer = setTimeout(refresh, isOffline ? RETRY_MS : REFRESH_MS);
  show();
}

// During a rolling update, old and new servers both answer: do not reload repeatedly.
function reloadIfNew(version) {
  const last_ms = Number(sessionStorage.getItem(RELOADED_AT) ?? 0);
  if (version === document.body.dataset.version || Math.abs(Date.now() - last_ms) < RELOAD_PAUSE_MS) return;
  sessionStorage.setItem(RELOADED_AT, String(Date.now()));
  location.reload();
}

// What is on screen

function show() {
  if (!token) return;
  $("enrol").hidden = true;
  $("kiosk").hidden = false;
  const code = codes.current();
  $("store").textContent = codes.store;
  // An SVG element has no `hidden` property, only the attribute.
  $("qr").toggleAttribute("hidden", !code);
  $("how").hidden = !code;
  $("gone").hidden = Boolean(code) || !isOffline;
  showConnection(code);
  if (!code) return;
  showLeft();
  if (code.proof === shown) return;
  shown = code.proof;
  const side = code.qr.modules + 2 * MARGIN;
  $("qr").setAttribute("viewBox", `0 0 ${side} ${side}`);
  $("qr").querySelector("path").setAttribute("d", drawPath(code.qr, MARGIN));
}

function showLeft() {
  const { ms, share } = codes.left();
  const said = stillness.matches ? Math.ceil(share * 3) / 3 : share;
  $("ring").querySelector(".left").setAttribute("stroke-dasharray", `${(said * 100).toFixed(1)} 100`);
  $("ring").querySelector("text").textContent = String(Math.ceil(ms / 1000));
}

function showConnection(code) {
  const minutes = Math.ceil(codes.supply_ms() / 60_000);
  const text = isOffline && code ? strings.offline.replace("{minutes}", String(minutes)) : "";
  // Screen readers read every change aloud, so equal text is not set again.
  if ($("connection").textContent !== text) $("connection").textContent = text;
}

function tick() {
  if (!token) return;
  if (codes.clock.hasJumped && !hasAskedForJump) {
    hasAskedForJump = true;
    refresh();
  }
  show();
}

// The screen itself

async function stayAwake() {
  if (document.hidden || !navigator.wakeLock) return;
  try {
    await navigator.wakeLock.request("screen");
  } catch (error) {
    // Low battery or a browser's policy: the screen may sleep.
    if (!(error instanceof DOMException)) throw error;
  }
}

function offerFullScreen() {
  const isFull = document.fullscreenElement || matchMedia("(display-mode: fullscreen)").matches;
  $("full").hidden = !document.fullscreenEnabled || Boolean(isFull);
}

$("full").addEventListener("click", () => document.documentElement.requestFullscreen());
$("enrol-form").addEventListener("submit", (event) => {
  event.preventDefault();
  const text = $("enrol-token").value.trim();
  enrol(text.split("#enrol=").pop());
});
document.addEventListener("fullscreenchange", offerFullScreen);
document.addEventListener("visibilitychange", () => {
  if (document.hidden) return;
  stayAwake();
  refresh();
});
addEventListener("online", refresh);
addEventListener("hashchange", begin);
addEventListener("pageshow", (event) => event.persisted && refresh());

// An enrolment link can open in this tab; then only the part after # changes.
async function begin() {
  const given = new URLSearchParams(location.hash.slice(1)).get("enrol");
  if (given) {
    // Remove the one-time token from the address bar and the history.
    history.replaceState(null, "", location.pathname);
    await enrol(given);
  } else if (token) {
    codes.restore();
    show();
    await refresh();
  } else {
    showEnrolment();
  }
}

navigator.serviceWorker?.register(document.body.dataset.worker).catch(() => {
  // Fails without HTTPS; then the page cannot be restarted offline.
});
offerFullScreen();
stayAwake();
setInterval(tick, TICK_MS);
begin();
