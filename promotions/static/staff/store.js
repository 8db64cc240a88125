// What this device keeps over a reload: what the server last said about working without network, the scans that wait
// to be sent, the units it took lately, and what came of scans that were not accepted.

const NAME = "doorstep-till";
const VERSION = 1;

let opening = null;

function open() {
  opening ??= new Promise((resolve, reject) => {
    const request = indexedDB.open(NAME, VERSION);
    request.onupgradeneeded = () => {
      request.result.createObjectStore("kept");
      request.result.createObjectStore("queue", { keyPath: "number", autoIncrement: true });
      request.result.createObjectStore("taken", { keyPath: "coupon" });
      request.result.createObjectStore("notices", { keyPath: "nonce" });
    };
    request.onsuccess = () => resolve(request.result);
    request.onerror = () => reject(request.error);
  });
  return opening;
}

// Resolves when the change is on the disk, not when it was asked for.
async function change(name, act) {
  const database = await open();
  return new Promise((resolve, reject) => {
    const transaction = database.transaction(name, "readwrite", { durability: "strict" });
    act(transaction.objectStore(name));
    transaction.oncomplete = () => resolve();
    transaction.onerror = transaction.onabort = () => reject(transaction.error);
  });
}

async function read(name, act) {
  const database = await open();
  return new Promise((resolve, reject) => {
    const request = act(database.transaction(name).objectStore(name));
    request.onsuccess = () => resolve(request.result);
    request.onerror = () => reject(request.error);
  });
}

export const keepSync = (sync) => change("kept", (store) => store.put(sync, "sync"));
export const keptSync = () => read("kept", (store) => store.get("sync"));

export const enqueue = (scan) => change("queue", (store) => store.add(scan));
export const queued = () => read("queue", (store) => store.getAll());
export const dequeue = (scans) => change("queue", (store) => scans.forEach(({ number }) => store.delete(number)));

export const takenOf = (coupon) => read("taken", (store) => store.get(coupon));

// One more unit of a coupon, by the redemption that took it.
export async function rememberTaken({ coupon, units_left, at, redemption }) {
  const redemptions = [...new Set([...((await takenOf(coupon))?.redemptions ?? []), redemption])];
  return change("taken", (store) => store.put({ coupon, units_left, at, redemptions }));
}

export async function forgetTakenBefore(instant) {
  const old = (await allTaken()).filter(({ at }) => Date.parse(at) < instant);
  return change("taken", (store) => old.forEach(({ coupon }) => store.delete(coupon)));
}

// One unit is free again; the coupon's others stay taken.
export async function giveBackUnit(redemption) {
  const meant = (await allTaken()).filter(({ redemptions }) => redemptions?.includes(redemption));
  return change("taken", (store) =>
    meant.forEach(({ coupon, units_left, at, redemptions }) => {
      const others = redemptions.filter((each) => each !== redemption);
      store.put({ coupon, units_left: units_left + 1, at, redemptions: others });
    }),
  );
}

const allTaken = () => read("taken", (store) => store.getAll());

export const addNotices = (notices) => change("notices", (store) => notices.forEach((notice) => store.put(notice)));
export const notices = () => read("notices", (store) => store.getAll());
export const clearNotices = () => change("notices", (store) => store.clear());

// Another store's scans, keys and notices are not this till's business. What waits to be sent stays.
export async function forgetAll() {
  for (const name of ["kept", "taken", "notices"]) await change(name, (store) => store.clear());
}
