{% load static %}// Caches the kiosk page so that it opens offline. API calls are never cached.
// Release {{ version }}.
const SHELL = "doorstep-kiosk";
const FILES = [
  "{% url 'kiosk-page' %}",
  "{% url 'kiosk-manifest' %}",
  "{% static 'kiosk/kiosk.css' %}",
  "{% static 'kiosk/kiosk.js' %}",
  "{% static 'kiosk/codes.js' %}",
  "{% static 'staff/icon.svg' %}",
];
const PATHS = new Set(FILES.map((file) => new URL(file, location.origin).pathname));

self.addEventListener("install", (event) => {
  event.waitUntil(caches.open(SHELL).then((cache) => cache.addAll(FILES)).then(() => self.skipWaiting()));
});

self.addEventListener("activate", (event) => event.waitUntil(self.clients.claim()));

self.addEventListener("fetch", (event) => {
  const url = new URL(event.request.url);
  const ours = event.request.method === "GET" && url.origin === location.origin && PATHS.has(url.pathname);
  if (ours) event.respondWith(networkFirst(event.request));
});

async function networkFirst(request) {
  const cache = await caches.open(SHELL);
  try {
    // Bypass the browser's own cache, so that page, script and style belong to one release.
    const response = await fetch(request, { cache: "no-cache" });
    if (response.ok) await cache.put(request, response.clone());
    return response;
  } catch (error) {
    const cached = await cache.match(request, { ignoreSearch: true, ignoreVary: true });
    if (cached) return cached;
    throw error;
  }
}
