// Caches the till page so that it opens offline. API calls are never cached.
const SHELL = "doorstep-till";
// Without a response after this time, the cached page is used.
const TIMEOUT_MS = 2500;
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
  const timeout = new AbortController();
  const timer = setTimeout(() => timeout.abort(), TIMEOUT_MS);
  try {
    const response = await fetch(request, { signal: timeout.signal });
    // The server has answered; a large file may take longer than the timeout.
    clearTimeout(timer);
    if (response.ok) await cache.put(request, response.clone());
    return response;
  } catch (error) {
    const cached = await cache.match(request, { ignoreSearch: true, ignoreVary: true });
    if (cached) return cached;
    throw error;
  }
}
