// Reading QR codes with the browser's own detector. Where there is none the page says so, and the code is typed.

const LOOK_EVERY_MS = 150;
// A code still in view after its answer was closed must not fire again.
const SAME_CODE_PAUSE_MS = 3000;

export function canScan() {
  return "BarcodeDetector" in window && Boolean(navigator.mediaDevices?.getUserMedia);
}

export class Camera {
  #video;
  #onText;
  #stream = null;
  #timer = 0;
  #last = { text: "", seenAt: 0 };
  #paused = false;

  constructor(video, onText) {
    this.#video = video;
    this.#onText = onText;
  }

  get isOpen() {
    return this.#stream !== null;
  }

  async open() {
    const detector = new window.BarcodeDetector({ formats: ["qr_code"] });
    this.#stream = await navigator.mediaDevices.getUserMedia({ video: { facingMode: "environment" }, audio: false });
    this.#video.srcObject = this.#stream;
    await this.#video.play();
    this.#timer = setInterval(() => this.#look(detector), LOOK_EVERY_MS);
  }

  close() {
    clearInterval(this.#timer);
    this.#stream?.getTracks().forEach((track) => track.stop());
    this.#stream = null;
    this.#video.srcObject = null;
  }

  pause() {
    this.#paused = true;
  }

  resume() {
    this.#paused = false;
    this.#last.seenAt = Date.now();
  }

  async #look(detector) {
    if (this.#paused || this.#video.readyState < HTMLMediaElement.HAVE_CURRENT_DATA) return;
    const [found] = await detector.detect(this.#video).catch(() => []);
    if (!found || this.#paused) return;
    const now = Date.now();
    const isSame = found.rawValue === this.#last.text && now - this.#last.seenAt < SAME_CODE_PAUSE_MS;
    this.#last = { text: found.rawValue, seenAt: now };
    if (!isSame) this.#onText(found.rawValue);
  }
}
