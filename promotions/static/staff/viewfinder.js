// The camera on the page. Once opened, it opens again after a reload, a lock or a change of app.

import { Camera, hasCameraAccess } from "./camera.js";
import { $, strings } from "./page.js";

const KEPT_AS = "doorstep.till.camera";

let camera = null;
let isOpening = false;

export const pauseCamera = () => camera.pause();
export const resumeCamera = () => camera.resume();

export function closeCamera() {
  camera.close();
  show();
}

export function reopenCamera() {
  const isOn = localStorage.getItem(KEPT_AS) === "on";
  if (isOn && !camera.isOpen && !isAway()) open();
}

// Shows at once if there is no camera or no QR decoder.
export function offerCamera() {
  const canScan = hasCameraAccess() && ("BarcodeDetector" in window || Boolean(document.body.dataset.decoder));
  $("camera-button").hidden = !canScan;
  if (!canScan) note(strings.camera_missing);
}

export function wireCamera(onText) {
  camera = new Camera($("video"), onText);
  $("camera-button").addEventListener("click", () => {
    localStorage.setItem(KEPT_AS, camera.isOpen ? "off" : "on");
    if (camera.isOpen) closeCamera();
    else open();
  });
  document.addEventListener("visibilitychange", () => (document.hidden ? closeCamera() : reopenCamera()));
}

const isAway = () => $("till").hidden || document.hidden;

async function open() {
  if (isOpening) return;
  isOpening = true;
  $("camera-note").hidden = true;
  try {
    if (!(await camera.open())) giveUp(strings.camera_missing);
  } catch (error) {
    giveUp(error.name === "NotAllowedError" ? strings.camera_denied : strings.camera_broken);
  }
  isOpening = false;
  // The page may have been locked or hidden while the browser asked for permission.
  if (isAway()) camera.close();
  show();
}

// There is no automatic retry: the browser would ask or fail every time.
function giveUp(text) {
  camera.close();
  localStorage.setItem(KEPT_AS, "off");
  note(text);
}

function show() {
  $("viewfinder").hidden = !camera.isOpen;
  $("camera-label").textContent = camera.isOpen ? strings.camera_stop : strings.camera_start;
}

function note(text) {
  $("camera-note").textContent = text;
  $("camera-note").hidden = false;
}
