// Keeps the page's own files, so that it opens at once and also without a network; data always come from the server.
// The name of the cache carries the build (scripts/finish.mjs puts it in), so a new build throws the old one away.
const cacheName = 'penstock-__BUILD__';
const shell = __SHELL__;

self.addEventListener('install', (event) => {
  event.waitUntil(caches.open(cacheName).then((cache) => cache.addAll(shell)).then(() => self.skipWaiting()));
});

self.addEventListener('activate', (event) => {
  event.waitUntil(
    caches.keys()
      .then((names) => Promise.all(names.filter((n) => n.startsWith('penstock-') && n !== cacheName).map((n) => caches.delete(n))))
      .then(() => self.clients.claim()),
  );
});

self.addEventListener('fetch', (event) => {
  const url = new URL(event.request.url);
  if (event.request.method !== 'GET' || url.origin !== location.origin) return;
  if (url.pathname.startsWith('/assets/')) {
    // The name holds a hash of the content: what is kept is right for ever.
    event.respondWith(caches.match(event.request).then((kept) => kept ?? fetch(event.request).then((fresh) => {
      if (fresh.ok) { const copy = fresh.clone(); event.waitUntil(caches.open(cacheName).then((c) => c.put(event.request, copy))); }
      return fresh;
    })));
  } else if (event.request.mode === 'navigate' && url.pathname === '/') {
    // Newest page when there is a network, the kept one when there is none.
    event.respondWith(fetch(event.request).catch(() => caches.match('/')));
  }
});
