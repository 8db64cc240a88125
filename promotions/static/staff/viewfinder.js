// The camera on the page: opened once, and found open again after a reload, a lock, another app.

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
  const isWanted = localStorage.getItem(KEPT_AS) === "on";
  if (isWanted && !camera.isOpen && !isAway()) open();
}

// A phone without a camera, or without anything to read QR codes with, is told so at once.
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
  // It may have been locked or put away while the browser asked for permission.
  if (isAway()) camera.close();
  show();
}

// Not tried again by itself: the browser would ask or fail every time.
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
