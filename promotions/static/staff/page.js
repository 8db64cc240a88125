// Shared state of the page: elements, texts, the device, the connection, and requests to the server.

import { NoAnswer } from "./api.js";

const KEPT_AS = "doorstep.till";
const ANNOUNCED_MS = 6000;

export const $ = (id) => document.getElementById(id);
export const strings = JSON.parse($("strings").textContent);
export const language = document.documentElement.lang;

// { token, store, label, profile, hasMembers, member, isLocked } or null before enrolment.
let device = JSON.parse(localStorage.getItem(KEPT_AS) ?? "null");
let isUp = true;
let leaving = 0;
const watchers = { device: [], connection: [] };

export const theDevice = () => device;
export const isConnected = () => isUp;
export const context = () => ({ strings, language, timezone: device?.store.timezone, now: new Date() });
export const whenDeviceChanges = (watcher) => watchers.device.push(watcher);
export const whenConnectionChanges = (watcher) => watchers.connection.push(watcher);

export function keepDevice(value) {
  device = value;
  if (value) localStorage.setItem(KEPT_AS, JSON.stringify(value));
  else localStorage.removeItem(KEPT_AS);
  watchers.device.forEach((watcher) => watcher(value));
}

export function setConnected(value) {
  if (value === isUp) return;
  isUp = value;
  watchers.connection.forEach((watcher) => watcher(value));
}

// Returns the answer, or null without one. Forgets the device if it was switched off (401).
export async function ask(send) {
  try {
    const answer = await send();
    setConnected(true);
    if (answer.status === 401) keepDevice(null);
    return answer;
  } catch (error) {
    if (!(error instanceof NoAnswer)) throw error;
    setConnected(false);
    return null;
  }
}

// Shows a text that screen readers read aloud. It disappears after some seconds unless `stays` is set.
export function announce(text, { stays = false } = {}) {
  clearTimeout(leaving);
  $("announcement").textContent = text;
  $("announcement").classList.toggle("good", !stays);
  if (!stays) leaving = setTimeout(() => ($("announcement").textContent = ""), ANNOUNCED_MS);
}
