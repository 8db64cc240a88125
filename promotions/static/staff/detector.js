// Chooses the QR decoder: the browser's own if it has one, otherwise zxing-wasm from this origin.

const { decoder: SCRIPT, decoderWasm: WASM } = document.body.dataset;

let loading = null;

async function browserReads() {
  if (!("BarcodeDetector" in window)) return false;
  // Some browsers have the class but support no format.
  const formats = await (window.BarcodeDetector.getSupportedFormats?.() ?? ["qr_code"]);
  return formats.includes("qr_code");
}

// Returns an object whose `read(video)` returns the text of a QR or null. Returns null if there is no decoder.
export async function findDetector() {
  if (await browserReads().catch(() => false)) {
    const detector = new window.BarcodeDetector({ formats: ["qr_code"] });
    return { read: async (video) => (await detector.detect(video))[0]?.rawValue ?? null };
  }
  if (!SCRIPT) return null;
  try {
    await (loading ??= load());
  } catch {
    loading = null;
    return null;
  }
  return new Decoder(window.ZXingWASM);
}

async function load() {
  await new Promise((resolve, reject) => {
    const script = document.createElement("script");
    script.src = SCRIPT;
    script.onload = resolve;
    script.onerror = reject;
    document.head.append(script);
  });
  await window.ZXingWASM.prepareZXingModule({ overrides: { locateFile: () => WASM }, fireImmediately: true });
}

class Decoder {
  #zxing;
  #canvas = document.createElement("canvas");
  #context = this.#canvas.getContext("2d", { willReadFrequently: true });

  constructor(zxing) {
    this.#zxing = zxing;
  }

  async read(video) {
    // Only the middle of the picture, which the screen shows, scaled to the size that a QR needs.
    const side = Math.min(video.videoWidth, video.videoHeight);
    const size = Math.min(side, 640);
    this.#canvas.width = this.#canvas.height = size;
    const [left, top] = [(video.videoWidth - side) / 2, (video.videoHeight - side) / 2];
    this.#context.drawImage(video, left, top, side, side, 0, 0, size, size);
    const options = { formats: ["QRCode"], maxNumberOfSymbols: 1 };
    const [found] = await this.#zxing.readBarcodes(this.#context.getImageData(0, 0, size, size), options);
    return found?.isValid ? found.text : null;
  }
}
