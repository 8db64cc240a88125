// The recent scans of this till, queued ones first, with undo, and the totals of the shift.

import { recent, voidRedemption } from "./api.js";
import { fill, formatAmount, formatTime, formatWhen } from "./answers.js";
import { $, ask, context, strings, theDevice } from "./page.js";
import * as store from "./store.js";
import { showQueue } from "./waiting.js";

// The totals of a longer shift stop here.
const MAX_PAGES = 40;

let rows = [];
let undoing = null;

export async function showRecent() {
  if (!theDevice()) return;
  $("recent").ariaBusy = true;
  const answer = await ask(() => recent(theDevice().token));
  if (answer?.status === 200) rows = answer.body.redemptions;
  draw(await showQueue());
}

// Shows the queue at once; the server's list follows later.
export async function showWaiting() {
  draw(await showQueue());
}

function draw(waiting) {
  $("recent-none").hidden = rows.length + waiting.length > 0;
  $("recent").ariaBusy = false;
  $("recent").replaceChildren(...waiting.toReversed().map(waitingRow), ...rows.map(recentRow));
}

function line(instant, benefit, amount) {
  const item = document.createElement("li");
  const when = document.createElement("time");
  when.dateTime = instant;
  when.textContent = formatWhen(instant, context());
  const what = document.createElement("span");
  what.textContent = amount ? `${benefit} · ${formatAmount(amount, context())}` : benefit;
  item.append(when, what);
  return item;
}

function mark(item, text) {
  const word = document.createElement("em");
  word.textContent = text;
  item.append(word);
  return item;
}

const waitingRow = (scan) => mark(line(scan.scanned_at, scan.benefit, scan.amount), strings.waits);

function recentRow(row) {
  const item = line(row.redeemed_at, row.benefit, row.amount);
  if (row.initials) item.querySelector("time").append(` · ${row.initials}`);
  if (row.units > 1) item.querySelector("span").append(` · ${fill(strings.units, row)}`);
  if (row.voided_at) return mark(item, `${strings.undone} ${formatTime(row.voided_at, context())}`);
  if (Date.parse(row.voidable_until) <= Date.now()) return item;
  const button = document.createElement("button");
  button.type = "button";
  button.className = "quiet";
  button.textContent = strings.undo;
  button.setAttribute("aria-label", fill(strings.undo_title, row));
  button.addEventListener("click", () => askUndo(row));
  item.append(button);
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
  const answer = await ask(() => voidRedemption(theDevice().token, undoing.id, reason));
  const isDone = answer?.status === 201 || answer?.body.code === "already_voided";
  if (isDone) await store.giveBackUnit(undoing.id).catch(() => {});
  else if (theDevice()) {
    const isLate = answer?.body.code === "void_too_late";
    $("recent-fault").textContent = isLate ? strings.void_too_late : strings.undo_failed;
  }
  await showRecent();
}

// The shift

async function rowsOfToday() {
  const { timezone, now } = context();
  const day = (instant) => new Intl.DateTimeFormat("en-CA", { timeZone: timezone }).format(new Date(instant));
  const today = [];
  for (let page = 0, cursor = null; page < MAX_PAGES; page += 1) {
    const answer = await ask(() => recent(theDevice().token, cursor));
    if (answer?.status !== 200) return null;
    const ofToday = answer.body.redemptions.filter(({ redeemed_at }) => day(redeemed_at) === day(now));
    today.push(...ofToday);
    cursor = answer.body.next;
    if (!cursor || ofToday.length < answer.body.redemptions.length) break;
  }
  return today;
}

async function showShift() {
  $("shift-end").hidden = !theDevice().hasMembers;
  for (const figure of ["given", "undone", "amount"]) $(`shift-${figure}`).textContent = "–";
  $("shift").showModal();
  const waiting = await showQueue();
  $("shift-waiting").textContent = waiting.length;
  const today = await rowsOfToday();
  if (today === null) {
    $("shift-when").textContent = strings.shift_offline;
    return;
  }
  const live = today.filter(({ voided_at }) => !voided_at);
  const cents = live.reduce((sum, { amount }) => sum + Math.round(Number(amount ?? 0) * 100), 0);
  $("shift-when").textContent = fill(strings.shift_when, { time: formatTime(context().now, context()) });
  $("shift-given").textContent = live.length;
  $("shift-undone").textContent = today.length - live.length;
  $("shift-amount").textContent = formatAmount(cents / 100, context());
}

export function wireRecent() {
  $("undo-form").addEventListener("submit", (event) => {
    event.preventDefault();
    undo(event.submitter.value);
  });
  $("undo-cancel").addEventListener("click", () => $("undo").close());
  $("shift-button").addEventListener("click", showShift);
  $("shift-close").addEventListener("click", () => $("shift").close());
}

export function forgetRecent() {
  rows = [];
  draw([]);
}
