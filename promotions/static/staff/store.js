// The device's storage (IndexedDB): the last sync for offline use, the queue of scans, the units redeemed recently, and
// notices of scans that were not accepted.

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

// Resolves when the change is on the disk.
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

export const saveSync = (sync) => change("kept", (store) => store.put(sync, "sync"));
export const loadSync = () => read("kept", (store) => store.get("sync"));

export const enqueue = (scan) => change("queue", (store) => store.add(scan));
export const queued = () => read("queue", (store) => store.getAll());
export const dequeue = (scans) => change("queue", (store) => scans.forEach(({ number }) => store.delete(number)));

export const takenOf = (coupon) => read("taken", (store) => store.get(coupon));

// Records one more redeemed unit of a coupon and its redemption.
export async function rememberTaken({ coupon, units_left, at, redemption }) {
  const redemptions = [...new Set([...((await takenOf(coupon))?.redemptions ?? []), redemption])];
  return change("taken", (store) => store.put({ coupon, units_left, at, redemptions }));
}

export async function forgetTakenBefore(instant) {
  const old = (await allTaken()).filter(({ at }) => Date.parse(at) < instant);
  return change("taken", (store) => old.forEach(({ coupon }) => store.delete(coupon)));
}

// Frees the unit of one redemption; the coupon's other units stay redeemed.
export async function giveBackUnit(redemption) {
  const affected = (await allTaken()).filter(({ redemptions }) => redemptions?.includes(redemption));
  return change("taken", (store) =>
    affected.forEach(({ coupon, units_left, at, redemptions }) => {
      const others = redemptions.filter((each) => each !== redemption);
      store.put({ coupon, units_left: units_left + 1, at, redemptions: others });
    }),
  );
}

const allTaken = () => read("taken", (store) => store.getAll());

export const addNotices = (notices) => change("notices", (store) => notices.forEach((notice) => store.put(notice)));
export const notices = () => read("notices", (store) => store.getAll());
export const clearNotices = () => change("notices", (store) => store.clear());

// Deletes the data of an earlier enrolment, which may be another store's. The queue stays.
export async function forgetAll() {
  for (const name of ["kept", "taken", "notices"]) await change(name, (store) => store.clear());
}
