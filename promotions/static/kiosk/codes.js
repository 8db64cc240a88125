// The codes of the next minutes, rotated by the server's time. No access to the page.

const KEPT_AS = "doorstep.kiosk.codes";
// A larger difference between the two clocks of a machine means that it slept or that its clock was set.
const MAX_DRIFT_MS = 2000;

// Without storage the browser still shows codes, but has to be enrolled again after a restart.
export function keep(name, text) {
  try {
    localStorage.setItem(name, text);
  } catch (error) {
    if (!(error instanceof DOMException)) throw error;
  }
}

// Returns the stored value, or null if there is none or it cannot be read.
export function recall(name) {
  try {
    return JSON.parse(localStorage.getItem(name));
  } catch (error) {
    if (!(error instanceof SyntaxError || error instanceof DOMException)) throw error;
    return null;
  }
}

// The server's time, derived from its last answer. The transfer makes it late, never early, so no code is shown before
// its step. It advances by the monotonic clock, or by the wall clock if the monotonic clock stopped during sleep.
export class ServerClock {
  #server_ms = null;
  #wall_ms = 0;
  #steady_ms = 0;

  set(server_ms, wall_ms = Date.now()) {
    this.#server_ms = server_ms;
    this.#wall_ms = wall_ms;
    this.#steady_ms = performance.now();
  }

  // The server's clock minus the wall clock: a restarted page continues from it.
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

  // Load the codes stored before the page was restarted offline.
  restore() {
    try {
      const { step_s, codes, store, ahead_ms } = recall(KEPT_AS);
      const bySteps = new Map(codes.map((code) => [code.step, code]));
      this.clock.set(Date.now() + ahead_ms);
      [this.#step_ms, this.#bySteps, this.store] = [step_s * 1000, bySteps, store.name];
    } catch (error) {
      // Nothing is stored, or another release stored it in another form. The next answer replaces it.
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

  // The rest of the current step, in milliseconds and as a share.
  left() {
    const left_ms = this.#step_ms - (this.clock.now() % this.#step_ms);
    return { ms: left_ms, share: left_ms / this.#step_ms };
  }

  // The time until the stored codes run out.
  supply_ms() {
    const last = Math.max(...this.#bySteps.keys());
    return Number.isFinite(last) ? Math.max(0, (last + 1) * this.#step_ms - this.clock.now()) : 0;
  }
}

// Renders the modules as one SVG path: one bar for each run of black modules in a row.
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
