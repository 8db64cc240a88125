// The kiosk page: shows the store's code of this moment, keeps ten minutes of codes, says so when they have run out.
// Nobody stands before it with a keyboard, so it mends itself: sleep, a new release, a lost network, a wrong clock.

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

// A kiosk enrolled on the till's page comes here with that page's credential.
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
    // Told below.
  }
  if (answer?.status !== 201) {
    // A used QR opened again on a kiosk that works: it goes on.
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

// Switched off: what was shown and what was kept for later goes at once.
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

// While an old and a new release answer side by side, this must not go back and forth.
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
  // A picture is no HTML element: it has the attribute, not the property.
  $("qr").toggleAttribute("hidden", !code);
  $("how").hidden = !code;
  $("gone").hidden = Boolean(code) || !isOffline;
  tellConnection(code);
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

function tellConnection(code) {
  const minutes = Math.ceil(codes.supply_ms() / 60_000);
  const text = isOffline && code ? strings.offline.replace("{minutes}", String(minutes)) : "";
  // Said again only when it changes: it is read aloud.
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
    // A battery that is nearly empty, or a browser's rule: then the screen sleeps.
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

// An enrolment's QR may open in this very tab: then only what is behind the # changes.
async function begin() {
  const given = new URLSearchParams(location.hash.slice(1)).get("enrol");
  if (given) {
    // Out of the address bar and the history: it works once, and nobody needs to see it.
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
  // Only where the page is not served over HTTPS; then it cannot be restarted without network.
});
offerFullScreen();
stayAwake();
setInterval(tick, TICK_MS);
begin();
