// What may count as a new scan. A camera sees one code many times a second, and many hand scanners fire twice.

// A code is not taken again for this long, counted from when its answer was closed …
const SAME_CODE_PAUSE_MS = 3000;
// … unless it left the picture. One missed frame is no leaving.
const GONE_MS = 600;
// A hand scanner types a character every few milliseconds; no person does.
const WEDGE_GAP_MS = 50;
const WEDGE_MIN_CHARS = 8;

// The part that does not turn every 15 s: a coupon is the same coupon after its code has turned.
export function nameOf(text) {
  const rotating = /D1\.([\w-]+)\.\d+\.[\w-]+$/.exec(text.trim());
  return rotating ? rotating[1] : text.trim();
}

export class Gate {
  #name = "";
  #quietUntil = 0;
  #seenAt = 0;
  #hasLeft = true;

  // Whether a code just read is a new scan.
  lets(text, now) {
    const name = nameOf(text);
    this.look(now);
    const isSame = name === this.#name && !this.#hasLeft && now < this.#quietUntil;
    if (name === this.#name) this.#seenAt = now;
    if (isSame) return false;
    this.#name = name;
    this.#seenAt = now;
    this.#hasLeft = false;
    this.#quietUntil = now + SAME_CODE_PAUSE_MS;
    return true;
  }

  // A look at a picture, with or without a code.
  look(now) {
    if (now - this.#seenAt > GONE_MS) this.#hasLeft = true;
  }

  // The answer to the last code was closed: the pause begins now, and nobody looked meanwhile.
  rearm(now) {
    this.#quietUntil = now + SAME_CODE_PAUSE_MS;
    this.#seenAt = now;
    this.#hasLeft = false;
  }
}

// Keys that come faster than fingers: a hand scanner that acts as a keyboard. `onText` gets what it read and says whether
// it was taken.
export class Wedge {
  #text = "";
  #keyAt = 0;
  #onText;
  #last = "";
  #lastAt = -Infinity;

  constructor(onText) {
    this.#onText = onText;
  }

  // True: the key was the end of a hand scanner's reading and is used up.
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
    // Keys carry no picture that a code could leave, so time alone tells a second firing from a second scan.
    const isTwice = text === this.#last && now - this.#lastAt < SAME_CODE_PAUSE_MS;
    // What came too early to be taken may come again at once.
    if (isTwice || this.#onText(text)) {
      this.#last = text;
      this.#lastAt = now;
    }
    return true;
  }
}
