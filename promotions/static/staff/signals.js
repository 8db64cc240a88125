// Vibration and sound: one pattern of each per kind of answer.

const BUZZES_MS = {
  give: [80],
  again: [80, 60, 80],
  later: [80, 60, 160],
  ask: [60, 60, 60],
  used: [200, 100, 200],
  no: [400],
  presence: [120, 80, 120, 80, 120],
  reopen: [120, 80, 240],
  unsure: [60, 60, 60, 60, 60],
  device: [240, 120, 60],
};
const TONES_HZ = {
  give: [880, 1175],
  again: [880, 880],
  later: [880, 1175, 880],
  ask: [659, 784],
  used: [523, 440],
  no: [220, 196],
  presence: [523, 523, 659],
  reopen: [659, 523, 659],
  unsure: [330],
  device: [330, 262],
};
const TONE_S = 0.14;

let audio = null;

// Browsers allow sound only after the first touch.
export function allowSound() {
  audio ??= new AudioContext();
  if (audio.state === "suspended") audio.resume();
}

export function signal(kind) {
  navigator.vibrate?.(BUZZES_MS[kind]);
  if (audio?.state !== "running") return;
  TONES_HZ[kind].forEach((frequency, index) => {
    const start = audio.currentTime + index * TONE_S;
    const tone = audio.createOscillator();
    const volume = audio.createGain();
    tone.frequency.value = frequency;
    volume.gain.setValueAtTime(0.2, start);
    volume.gain.exponentialRampToValueAtTime(0.001, start + TONE_S);
    tone.connect(volume).connect(audio.destination);
    tone.start(start);
    tone.stop(start + TONE_S);
  });
}
