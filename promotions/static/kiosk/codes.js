// The codes of the next minutes, and the server's time to rotate them by. No page here: values in, values out.

const KEPT_AS = "doorstep.kiosk.codes";
// Two clocks of one machine drift apart by less; more means that it slept or that its clock was set.
const MAX_DRIFT_MS = 2000;

// A browser that keeps nothing still shows codes; it only has to be enrolled again when it is restarted.
export function keep(name, text) {
  try {
    localStorage.setItem(name, text);
  } catch (error) {
    if (!(error instanceof DOMException)) throw error;
  }
}

// What was kept, null when it is nothing or cannot be read.
export function recall(name) {
  try {
    return JSON.parse(localStorage.getItem(name));
  } catch (error) {
    if (!(error instanceof SyntaxError || error instanceof DOMException)) throw error;
    return null;
  }
}

// The server's time, reckoned from its last answer. An answer's travel makes it late, never early, so that no code is
// shown before its step. The monotonic clock counts on; where it stood still in sleep, the wall clock knows better.
export class ServerClock {
  #server_ms = null;
  #wall_ms = 0;
  #steady_ms = 0;

  set(server_ms, wall_ms = Date.now()) {
    this.#server_ms = server_ms;
    this.#wall_ms = wall_ms;
    this.#steady_ms = performance.now();
  }

  // How far the wall clock is behind the server's: what a restarted page can go on with.
  get ahead_ms() {
    return this.#server_ms - this.#wall_ms;
  }

  get hasJumped() {
    return this.#server_ms !== null && Math.abs(this.#wallElapsed() - this.#steadyElapsed()) > MAX_DRIFT_MS;
  }

  now() {
    if (this.#server_ms === null) return null;
    const [wall, steady] = [this.#wallElapsed(), this.#steadyElapsed()];
    return this.#server_ms + (wall > steady + MAX_DRIFT_MS ? wall : steady);
  }

  #wallElapsed() {
    return Date.now() - this.#wall_ms;
  }

  #steadyElapsed() {
    return performance.now() - this.#steady_ms;
  }
}

export class Codes {
  #bySteps = new Map();
  #step_ms = 15_000;
  clock = new ServerClock();
  store = "";

  take({ server_time, step_s, codes, store }) {
    this.clock.set(Date.parse(server_time));
    this.#step_ms = step_s * 1000;
    this.#bySteps = new Map(codes.map((code) => [code.step, code]));
    this.store = store.name;
    keep(KEPT_AS, JSON.stringify({ step_s, codes, store: { name: store.name }, ahead_ms: this.clock.ahead_ms }));
  }

  // What a page that was restarted without network still has.
  restore() {
    try {
      const { step_s, codes, store, ahead_ms } = recall(KEPT_AS);
      const bySteps = new Map(codes.map((code) => [code.step, code]));
      this.clock.set(Date.now() + ahead_ms);
      [this.#step_ms, this.#bySteps, this.store] = [step_s * 1000, bySteps, store.name];
    } catch (error) {
      // Nothing was kept, or by a release that kept it otherwise: the next answer brings all of it.
      if (!(error instanceof TypeError)) throw error;
    }
  }

  forget() {
    this.#bySteps.clear();
    localStorage.removeItem(KEPT_AS);
  }

  current() {
    const now_ms = this.clock.now();
    return now_ms === null ? undefined : this.#bySteps.get(Math.floor(now_ms / this.#step_ms));
  }

  // Of the current step: how much is left, as milliseconds and as a share.
  left() {
    const left_ms = this.#step_ms - (this.clock.now() % this.#step_ms);
    return { ms: left_ms, share: left_ms / this.#step_ms };
  }

  // How long the codes will do.
  supply_ms() {
    const last = Math.max(...this.#bySteps.keys());
    return Number.isFinite(last) ? Math.max(0, (last + 1) * this.#step_ms - this.clock.now()) : 0;
  }
}

// The modules as one SVG path: a bar for every run of black in a row.
export function drawPath({ modules, bits }, margin) {
  const bytes = atob(bits);
  const isBlack = (at) => (bytes.charCodeAt(at >> 3) >> (7 - (at & 7))) & 1;
  let path = "";
  for (let row = 0; row < modules; row += 1) {
    for (let column = 0, run = 0; column <= modules; column += 1) {
      if (column < modules && isBlack(row * modules + column)) {
        run += 1;
      } else if (run) {
        path += `M${column - run + margin} ${row + margin}h${run}v1h-${run}z`;
        run = 0;
      }
    }
  }
  return path;
}
