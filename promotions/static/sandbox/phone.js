// A simulated phone: it walks on the map, posts fixes and shows the answers of the public API.

import { Codes } from "../kiosk/codes.js";

const STEP_MS = 500;
const WALK_M = 8;
const HOME_RANGE_M = 15_000;
const FIX_EVERY_STEPS = 2;
const REFRESH_EVERY_MS = 4000;
const QR_LASTS_MS = 12_000;
const KEPT_AS = "doorstep.sandbox";
const CONSENTS = ["geo_match", "messages", "fraud_checks", "statistics"];
const CALLS_SHOWN = 30;
const LABEL_PLACES = [
  ["top", [0, -6]],
  ["right", [6, 0]],
  ["left", [-6, 0]],
  ["bottom", [0, 6]],
];

const $ = (id) => document.getElementById(id);
const stores = JSON.parse($("stores").textContent);
const refusals = new Map();
const coupons = new Map();

let phone = null;
let position = L.latLng(stores[0]?.latitude ?? 48.8566, stores[0]?.longitude ?? 2.3522);
let target = null;
let steps = 0;

// The API

async function call(method, path, body) {
  const caller = phone;
  const headers = { Accept: "application/json" };
  if (caller) headers.Authorization = `Bearer ${caller.access_token}`;
  if (body) headers["Content-Type"] = "application/json";
  const response = await fetch(path, { method, headers, body: body && JSON.stringify(body) });
  const text = await response.text();
  const answer = text.startsWith("{") ? JSON.parse(text) : {};
  showCall(method, path, body, response.status, answer);
  if (response.status === 401 && caller && caller === phone) await renewPhone();
  return { status: response.status, body: answer };
}

function showCall(method, path, body, status, answer) {
  const line = document.createElement("summary");
  const mark = document.createElement("span");
  mark.className = status < 400 ? "good" : "bad";
  mark.textContent = `${status} `;
  line.append(mark, `${method} ${path.split("?")[0]}${answer.code ? ` · ${answer.code}` : ""}`);
  const detail = document.createElement("pre");
  detail.textContent = [body, answer].filter(Boolean).map((part) => JSON.stringify(part, null, 1)).join("\n\n→ ");
  const entry = document.createElement("details");
  entry.append(line, detail);
  const item = document.createElement("li");
  item.append(entry);
  $("calls").prepend(item);
  while ($("calls").children.length > CALLS_SHOWN) $("calls").lastChild.remove();
}

async function renewPhone() {
  phone = null;
  refusals.clear();
  coupons.forEach((coupon) => URL.revokeObjectURL(coupon.qr));
  coupons.clear();
  showOffers([]);
  showMessages([]);
  const address = { kind: "console", address: "sandbox" };
  const body = { platform: "web", locale: navigator.language, consents: CONSENTS, push_address: address };
  const answer = await call("POST", "/v1/devices", body);
  if (answer.status !== 201) return;
  phone = answer.body;
  localStorage.setItem(KEPT_AS, JSON.stringify(phone));
  await postFix();
  await refresh();
}

function fixNow() {
  return {
    latitude: Number(position.lat.toFixed(7)),
    longitude: Number(position.lng.toFixed(7)),
    horizontal_accuracy_m: Number($("accuracy").value) || 0,
    fix_time: new Date().toISOString(),
    mock: $("mock").checked,
  };
}

const postFix = async () => phone && call("POST", "/v1/fixes", { fixes: [fixNow()] });

async function unlock(campaignId) {
  const { status, body } = await call("POST", `/v1/offers/${campaignId}/unlock`, { fix: fixNow(), ...readProof() });
  if (status < 300) refusals.delete(campaignId);
  else refusals.set(campaignId, describeRefusal(body));
  await refresh();
}

// An app reads the kiosk's QR with its camera; here, the kiosk is another tab of this browser.
function scanKiosk() {
  const codes = new Codes();
  codes.restore();
  const code = codes.current();
  $("proof").value = code?.proof ?? "";
  $("proof").placeholder = code ? "v1.…" : "open the kiosk in this browser";
}

// The text of a code can also be pasted. It is valid for one unlock.
function readProof() {
  const proof = $("proof").value.trim();
  $("proof").value = "";
  return proof ? { proof } : {};
}

function describeRefusal({ title, nearest_store: store, missing = [] }) {
  const advice = missing.map((piece) => piece.message).filter(Boolean);
  if (store?.distance_m) return `${title}: ${store.name} is ${store.distance_m} m away.`;
  return advice.length ? `${title}. ${advice.join(". ")}.` : `${title}.`;
}

// What the phone shows

async function refresh() {
  const current = phone;
  if (!current) return;
  const where = `latitude=${position.lat.toFixed(6)}&longitude=${position.lng.toFixed(6)}`;
  const offers = await call("GET", `/v1/offers?${where}`);
  if (offers.status === 200) await loadCoupons(offers.body.offers);
  const exported = await call("GET", "/v1/devices/me/export");
  // The phone was replaced during the requests: do not show the old phone's answers.
  if (phone !== current) return;
  if (offers.status === 200) showOffers(offers.body.offers);
  if (exported.status === 200) showMessages(exported.body.notifications.messages);
}

async function loadCoupons(offers) {
  const granted = offers.filter((offer) => offer.outcome && offer.outcome !== "lost" && isOld(coupons.get(offer.unlock_id)));
  await Promise.all(granted.map((offer) => loadCoupon(offer.unlock_id)));
}

function showOffers(offers) {
  $("no-offers").hidden = offers.length > 0;
  $("offers").replaceChildren(...offers.map(offerCard));
}

// The QR's text changes every 15 s; a till rejects one that is older than two steps as a screenshot.
const isOld = (coupon) => !coupon || Date.now() - coupon.drawn_at > QR_LASTS_MS;

async function loadCoupon(unlockId) {
  const { status, body } = await call("GET", `/v1/unlocks/${unlockId}`);
  if (status !== 200) return;
  // An image element cannot send the token, so the QR is fetched and shown as a blob.
  const image = await fetch(body.coupon.qr_path, { headers: { Authorization: `Bearer ${phone.access_token}` } });
  const former = coupons.get(unlockId);
  const qr = URL.createObjectURL(await image.blob());
  const { code_display: code, redeem_hours: hours, recalled_at: recalledAt } = body.coupon;
  coupons.set(unlockId, { code, hours, recalledAt, qr, drawn_at: Date.now() });
  if (former) URL.revokeObjectURL(former.qr);
}

function make(tag, text, className = "") {
  const element = document.createElement(tag);
  element.textContent = text;
  element.className = className;
  return element;
}

function offerCard(offer) {
  const store = offer.nearest_store;
  const card = make("article", "", `offer ${offer.state}`);
  card.append(make("strong", offer.title));
  card.append(make("small", `${offer.brand} · ${store.name}, ${store.distance_m} m`));
  card.append(make("small", formatWindow(offer.window)));
  if (offer.state === "redeemed") card.append(make("small", "Redeemed. Enjoy."));
  else if (offer.state === "unlocked") card.append(...showUnlocked(offer));
  else card.append(...showLocked(offer));
  return card;
}

function formatWindow({ current, next, timezone }) {
  const day = { weekday: "short", day: "numeric", month: "short" };
  const options = { timeZone: timezone, ...day, hour: "2-digit", minute: "2-digit", hourCycle: "h23" };
  const format = (instant) => new Date(instant).toLocaleString(undefined, options);
  if (current) return `Open until ${format(current.ends_at)}`;
  return next ? `Opens ${format(next.starts_at)}` : "Over";
}

function showLocked(offer) {
  const button = make("button", offer.is_sold_out ? "Sold out" : "Unlock here");
  button.type = "button";
  button.disabled = offer.is_sold_out;
  button.addEventListener("click", () => unlock(offer.campaign_id));
  const refusal = refusals.get(offer.campaign_id);
  return refusal ? [button, make("p", refusal, "refusal")] : [button];
}

function showUnlocked(offer) {
  const coupon = coupons.get(offer.unlock_id);
  if (!coupon) return [make("small", "Not won this time.")];
  if (coupon.recalledAt) return [make("small", "Recalled: tills no longer accept it.")];
  const image = make("img", "");
  image.src = coupon.qr;
  image.alt = `QR code of the coupon for ${offer.benefit}`;
  return [image, make("p", coupon.code, "code"), ...coupon.hours.map((window) => make("small", formatHours(window)))];
}

function formatHours({ weekdays, starts_at, ends_at }) {
  return `Valid ${weekdays.length === 7 ? "daily" : weekdays.join(", ")} ${starts_at.slice(0, 5)}–${ends_at.slice(0, 5)}`;
}

function showMessages(messages) {
  $("no-messages").hidden = messages.length > 0;
  const items = messages.reverse().map((message) => {
    const item = make("li", "");
    item.append(make("strong", message.title), make("div", message.body));
    item.append(make("small", [message.state, message.reason].filter(Boolean).join(": ")));
    return item;
  });
  $("messages").replaceChildren(...items);
}

// The map

// A double-click jumps (see below), so it must not zoom.
const map = L.map("map", { attributionControl: false, zoomControl: false, doubleClickZoom: false });
L.control.zoom({ position: "topleft" }).addTo(map);
L.control.scale({ imperial: false, position: "topleft" }).addTo(map);

function drawStores() {
  for (const store of stores) {
    $("go").append(new Option(store.name, store.id));
    for (const fence of store.fences) {
      const isRing = fence.role === "approach";
      const style = { color: isRing ? "#8a6d00" : "#0b6b3a", weight: 2, fillOpacity: isRing ? 0.04 : 0.14 };
      if (isRing) style.dashArray = "6 6";
      style.interactive = false;
      const shape = fence.ring
        ? L.polygon(fence.ring, style)
        : L.circle([fence.latitude, fence.longitude], { ...style, radius: fence.radius_m });
      shape.addTo(map);
    }
    const dot = { radius: 6, color: "#14342b", fillColor: "#7fd1a6", fillOpacity: 1, weight: 2, interactive: false };
    const marker = L.circleMarker([store.latitude, store.longitude], dot)
      .bindTooltip(store.name, { permanent: true, direction: "top", offset: [0, -6] })
      .addTo(map);
    labels.push({ store, tooltip: marker.getTooltip() });
  }
  map.on("zoomend moveend", thinLabels);
  thinLabels();
}

const labels = [];

/** Places each name where it is whole and covers nothing, or hides it. Names of nearer stores come first. */
function thinLabels() {
  const frame = map.getContainer().getBoundingClientRect();
  const obstacles = document.querySelectorAll(".leaflet-control, .phone, .calls");
  const shown = [...obstacles].map((obstacle) => obstacle.getBoundingClientRect());
  const distance = ({ store }) => position.distanceTo([store.latitude, store.longitude]);
  for (const { tooltip } of [...labels].sort((one, other) => distance(one) - distance(other))) {
    const box = findPlace(tooltip, frame, shown);
    tooltip.getElement().classList.toggle("covered", !box);
    if (box) shown.push(box);
  }
}

function findPlace(tooltip, frame, shown) {
  for (const [direction, offset] of LABEL_PLACES) {
    const box = placeLabel(tooltip, direction, offset);
    const isInside = box.left >= frame.left && box.right <= frame.right;
    if (isInside && !shown.some((other) => overlap(box, other))) return box;
  }
  return null;
}

function placeLabel(tooltip, direction, offset) {
  Object.assign(tooltip.options, { direction, offset });
  tooltip.update();
  return tooltip.getElement().getBoundingClientRect();
}

function overlap(one, other) {
  const gap = 3;
  return (
    one.left < other.right + gap &&
    other.left < one.right + gap &&
    one.top < other.bottom + gap &&
    other.top < one.bottom + gap
  );
}

const dot = { radius: 9, color: "#fff", weight: 3, fillColor: "#0b57d0", fillOpacity: 1, interactive: false };
const marker = L.circleMarker(position, dot);
const blur = L.circle(position, { radius: 10, stroke: false, fillColor: "#0b57d0", fillOpacity: 0.15, interactive: false });

function showPosition() {
  marker.setLatLng(position);
  blur.setLatLng(position).setRadius(Number($("accuracy").value) || 0);
  const distance = (store) => position.distanceTo([store.latitude, store.longitude]);
  const nearest = [...stores].sort((one, other) => distance(one) - distance(other))[0];
  $("place").textContent = nearest ? `${Math.round(distance(nearest))} m from ${nearest.name}` : "There is no store yet.";
}

function walk() {
  if (!target) return;
  const left_m = position.distanceTo(target);
  const share = Math.min(1, WALK_M / Math.max(left_m, 0.001));
  position = L.latLng(
    position.lat + (target.lat - position.lat) * share,
    position.lng + (target.lng - position.lng) * share,
  );
  if (share === 1) target = null;
  showPosition();
  steps += 1;
  if (steps % FIX_EVERY_STEPS === 0 || target === null) postFix();
}

async function jump(place) {
  target = null;
  position = place;
  showPosition();
  await postFix();
  await refresh();
}

map.on("click", (event) => {
  target = event.latlng;
});
map.on("dblclick", (event) => jump(event.latlng));
$("go").addEventListener("change", () => {
  const store = stores.find((each) => each.id === $("go").value);
  if (!store) return;
  jump(L.latLng(store.latitude, store.longitude));
  map.setView(position, 16);
});
$("accuracy").addEventListener("input", showPosition);
$("scan").addEventListener("click", scanKiosk);
$("renew").addEventListener("click", renewPhone);

async function start() {
  const nearby = stores.filter((store) => position.distanceTo([store.latitude, store.longitude]) < HOME_RANGE_M);
  const bounds = L.latLngBounds(nearby.map((store) => [store.latitude, store.longitude]));
  // Start a short walk away from the first store.
  position = L.latLng(position.lat - 0.0022, position.lng - 0.0012);
  map.setView(position, 16);
  // On a wide screen the phone covers the right part of the map; on a narrow one it is below.
  const covered = Math.max(0, innerWidth - document.querySelector(".phone").getBoundingClientRect().left);
  const paddingBottomRight = [covered < innerWidth / 2 ? covered : 0, 0];
  if (bounds.isValid()) map.fitBounds(bounds.extend(position).pad(0.3), { maxZoom: 16, paddingBottomRight });
  drawStores();
  blur.addTo(map);
  marker.addTo(map);
  showPosition();
  phone = JSON.parse(localStorage.getItem(KEPT_AS) ?? "null");
  if (phone) await refresh();
  else await renewPhone();
  setInterval(walk, STEP_MS);
  setInterval(() => document.hidden || refresh(), REFRESH_EVERY_MS);
}

start();
