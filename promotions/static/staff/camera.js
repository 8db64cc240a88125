// Reads codes from the camera. `gate.js` decides which of them is a new scan.

import { findDetector } from "./detector.js";
import { Gate } from "./gate.js";

const SCAN_EVERY_MS = 120;

export const hasCameraAccess = () => Boolean(navigator.mediaDevices?.getUserMedia);

export class Camera {
  #video;
  #onText;
  #stream = null;
  #detector = null;
  #timer = 0;
  #gate = new Gate();
  #isPaused = false;

  constructor(video, onText) {
    this.#video = video;
    this.#onText = onText;
  }

  get isOpen() {
    return this.#stream !== null;
  }

  // Throws the errors of getUserMedia; returns false if the browser cannot read a QR.
  async open() {
    this.#detector ??= await findDetector();
    if (!this.#detector) return false;
    const video = { facingMode: "environment", width: { ideal: 1280 }, height: { ideal: 720 } };
    this.#stream = await navigator.mediaDevices.getUserMedia({ video, audio: false });
    this.#video.srcObject = this.#stream;
    await this.#video.play();
    this.#gate = new Gate();
    this.#schedule();
    return true;
  }

  close() {
    clearTimeout(this.#timer);
    this.#stream?.getTracks().forEach((track) => track.stop());
    this.#stream = null;
    this.#video.srcObject = null;
  }

  pause() {
    this.#isPaused = true;
  }

  resume() {
    if (this.#isPaused) this.#gate.rearm(performance.now());
    this.#isPaused = false;
  }

  // Scans one frame after the other: a slow phone scans less often, and never two frames at a time.
  #schedule() {
    this.#timer = setTimeout(async () => {
      await this.#scan();
      if (this.isOpen) this.#schedule();
    }, SCAN_EVERY_MS);
  }

  async #scan() {
    if (this.#isPaused || this.#video.readyState < HTMLMediaElement.HAVE_CURRENT_DATA) return;
    const text = await this.#detector.read(this.#video).catch(() => null);
    if (this.#isPaused || !this.isOpen) return;
    if (text === null) this.#gate.update(performance.now());
    else if (this.#gate.accepts(text, performance.now())) this.#onText(text);
  }
}
