// Sign-in of staff members with initials and a PIN, and the lock: by a button, or after idle minutes.

import { me, signIn, signOut } from "./api.js";
import { fill } from "./answers.js";
import { $, ask, keepDevice, isConnected, strings, theDevice } from "./page.js";

const IDLE_LOCK_MS = 5 * 60_000;

let idle = 0;
let whenSignedIn = () => {};

export const isLocked = () => Boolean(theDevice()?.hasMembers && (theDevice().isLocked || !theDevice().member));

// Loads the device from the server. A lock that was closed here stays closed even if the server has a signed-in member.
export async function refreshDevice() {
  const answer = await ask(() => me(theDevice().token));
  if (answer?.status !== 200 || !theDevice()) return;
  const { store, label, profile, has_members: hasMembers, staff_member: member } = answer.body;
  keepDevice({ ...theDevice(), store, label, profile, hasMembers, member });
}

export function lock({ forget = false } = {}) {
  if (!theDevice()?.hasMembers) return;
  keepDevice({ ...theDevice(), isLocked: true, member: null });
  $("initials").value = forget ? "" : $("initials").value;
  ask(() => signOut(theDevice().token));
}

// The server requires a sign-in; `next` then continues the pending scan.
export function lockUntilSignedIn(next) {
  whenSignedIn = next;
  keepDevice({ ...theDevice(), hasMembers: true, isLocked: true, member: null });
}

async function trySignIn() {
  $("lock-fault").textContent = "";
  const initials = $("initials").value.trim().toUpperCase();
  const answer = await ask(() => signIn(theDevice().token, initials, $("pin").value));
  $("pin").value = "";
  if (answer?.status === 201) {
    keepDevice({ ...theDevice(), isLocked: false, member: answer.body.staff_member });
    const next = whenSignedIn;
    whenSignedIn = () => {};
    next();
    return;
  }
  if (!theDevice()) return;
  $("lock-fault").textContent = fault(answer);
  $("pin").focus();
}

function fault(answer) {
  if (!answer || answer.status >= 500) return strings.pin_offline;
  if (answer.body.code === "pin_locked") return strings.pin_locked;
  const tries = answer.body.tries_left;
  return tries == null ? strings.pin_wrong_plain : fill(strings.pin_wrong, { tries });
}

// No one can sign in offline, so an idle till locks only online.
function touch() {
  clearTimeout(idle);
  idle = setTimeout(() => (isConnected() && !isLocked() ? lock() : touch()), IDLE_LOCK_MS);
}

export function wireLock() {
  $("lock-form").addEventListener("submit", (event) => {
    event.preventDefault();
    trySignIn();
  });
  $("lock-button").addEventListener("click", () => lock());
  $("shift-end").addEventListener("click", () => {
    $("shift").close();
    lock({ forget: true });
  });
  for (const kind of ["pointerdown", "keydown"]) document.addEventListener(kind, touch, { passive: true });
  touch();
}
