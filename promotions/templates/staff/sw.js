// The till's shell, so that the page opens without a connection. Calls of the API are never kept.
const SHELL = "doorstep-till";
// A network that says nothing for this long is none.
const PATIENCE_MS = 2500;
const FILES = [
  "{% url 'staff-page' %}",
  "{% url 'staff-manifest' %}",{% for file in files %}
  "{{ file|escapejs }}",{% endfor %}
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
  const patience = new AbortController();
  const timer = setTimeout(() => patience.abort(), PATIENCE_MS);
  try {
    const response = await fetch(request, { signal: patience.signal });
    // It answers; how long a large file takes is another matter.
    clearTimeout(timer);
    if (response.ok) await cache.put(request, response.clone());
    return response;
  } catch (error) {
    const kept = await cache.match(request, { ignoreSearch: true, ignoreVary: true });
    if (kept) return kept;
    throw error;
  }
}
