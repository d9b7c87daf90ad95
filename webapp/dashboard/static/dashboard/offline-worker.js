// Says that there is no connection, in place of the browser's own words.
//
// It keeps that page with its style and icon, and nothing else: no page, X-ray or result ever comes into a cache here.
// The script that imports it has set RELEASE, and KEPT, the addresses that are kept, the page's first.

const PREFIX = "offline ";
const NAME = `${PREFIX}${self.RELEASE} ${self.KEPT.join(" ")}`;

async function keep() {
  const cache = await caches.open(NAME);
  // Without cookies: it is nobody's own page.
  await cache.addAll(self.KEPT.map((url) => new Request(url, { credentials: "omit", cache: "reload" })));
  await self.skipWaiting();
}

async function takeOver() {
  const old = (await caches.keys()).filter((name) => name.startsWith(PREFIX) && name !== NAME);
  await Promise.all(old.map((name) => caches.delete(name)));
  await self.clients.claim();
}

function kept(url) {
  return caches.match(url, { cacheName: NAME, ignoreVary: true });
}

async function page(request) {
  try {
    return await fetch(request);
  } catch {
    return kept(self.KEPT[0]);
  }
}

// Large files of a form without scripts go straight to the service.
function isUpload(request) {
  return request.headers.get("Content-Type")?.startsWith("multipart/") ?? false;
}

self.addEventListener("install", (event) => event.waitUntil(keep()));
self.addEventListener("activate", (event) => event.waitUntil(takeOver()));
self.addEventListener("fetch", (event) => {
  const { request } = event;
  if (request.mode === "navigate") {
    if (!isUpload(request)) event.respondWith(page(request));
  } else if (self.KEPT.includes(new URL(request.url).pathname)) {
    event.respondWith(kept(request.url).then((found) => found ?? fetch(request)));
  }
});
