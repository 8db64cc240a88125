// Decides what is a new scan. A camera reads one code many times a second, and many hand scanners send it twice.

// The same code is ignored for this long after its answer was closed …
const SAME_CODE_PAUSE_MS = 3000;
// … unless it left the picture. A single missed frame does not count.
const GONE_MS = 600;
// A hand scanner types a character every few milliseconds; people are slower.
const WEDGE_GAP_MS = 50;
const WEDGE_MIN_CHARS = 8;

// Returns the part of the text that does not change every 15 s and so identifies the coupon.
export function nameOf(text) {
  const rotating = /D1\.([\w-]+)\.\d+\.[\w-]+$/.exec(text.trim());
  return rotating ? rotating[1] : text.trim();
}

export class Gate {
  #name = "";
  #quietUntil = 0;
  #seenAt = 0;
  #hasLeft = true;

  // Returns whether a code is a new scan.
  accepts(text, now) {
    const name = nameOf(text);
    this.update(now);
    const isSame = name === this.#name && !this.#hasLeft && now < this.#quietUntil;
    if (name === this.#name) this.#seenAt = now;
    if (isSame) return false;
    this.#name = name;
    this.#seenAt = now;
    this.#hasLeft = false;
    this.#quietUntil = now + SAME_CODE_PAUSE_MS;
    return true;
  }

  // Called for each frame, with or without a code.
  update(now) {
    if (now - this.#seenAt > GONE_MS) this.#hasLeft = true;
  }

  // Starts the pause when the answer is closed; no frames were scanned while it was open.
  rearm(now) {
    this.#quietUntil = now + SAME_CODE_PAUSE_MS;
    this.#seenAt = now;
    this.#hasLeft = false;
  }
}

// Detects a hand scanner, which acts as a keyboard, by the speed of its keys. `onText` gets the text and returns whether
// it was accepted.
export class Wedge {
  #text = "";
  #keyAt = 0;
  #onText;
  #last = "";
  #lastAt = -Infinity;

  constructor(onText) {
    this.#onText = onText;
  }

  // Returns true if the key ended a scan; the page then ignores it.
  key(key, now) {
    const gap = now - this.#keyAt;
    this.#keyAt = now;
    if (key === "Enter") return this.#end(gap, now);
    if (key.length !== 1) return false;
    this.#text = gap > WEDGE_GAP_MS ? key : this.#text + key;
    return false;
  }

  #end(gap, now) {
    const text = this.#text;
    this.#text = "";
    if (gap > WEDGE_GAP_MS || text.length < WEDGE_MIN_CHARS) return false;
    // There is no picture that the code could leave, so only time separates a repeated code from a second scan.
    const isTwice = text === this.#last && now - this.#lastAt < SAME_CODE_PAUSE_MS;
    // A rejected text may be scanned again at once.
    if (isTwice || this.#onText(text)) {
      this.#last = text;
      this.#lastAt = now;
    }
    return true;
  }
}
