// The site's service worker. Made by fingerpost: what it is about stands in its first line.
"use strict";

const ASSETS = "fingerpost-assets";
const SEEN = "fingerpost-seen";
// Pages name the files of their release, so those of another are of no use.
const PAGES = `fingerpost-pages-${BUILD.id}`;
const MOST_SEEN = 200;
const AT_ONCE = 6;

const wanted = new Map(Object.entries(BUILD.assets).map(([url, integrity]) => [new URL(url, location).href, integrity]));

// A fingerprinted file: below the folder of all of them, and with a fingerprint in its name.
const folder = (() => {
  const [first] = wanted.keys();
  return first === undefined ? undefined : first.slice(0, first.indexOf(BUILD.prefix) + BUILD.prefix.length);
})();
const isFingerprinted = (url) => folder !== undefined && url.startsWith(folder) && /-[0-9a-f]{16}\.[^/?]+$/.test(url);

self.addEventListener("install", (event) => event.waitUntil(install()));
self.addEventListener("activate", (event) => event.waitUntil(activate()));
self.addEventListener("message", (event) => {
  if (event.data === "fingerpost:apply") self.skipWaiting();
});
self.addEventListener("fetch", (event) => {
  const { request } = event;
  if (request.method !== "GET" || request.headers.has("range")) return;
  if (request.mode === "navigate") {
    if (BUILD.pages !== "none" && new URL(request.url).origin === location.origin) event.respondWith(page(event));
  } else if (isFingerprinted(request.url)) {
    event.respondWith(asset(request));
  }
});

// All of it, or nothing: a release whose files are not all there does not begin.
async function install() {
  const cache = await caches.open(ASSETS);
  const missing = [];
  for (const [url, integrity] of wanted) {
    if (!(await cache.match(url))) missing.push([url, integrity]);
  }
  const fetchNext = async () => {
    for (let next = missing.pop(); next !== undefined; next = missing.pop()) {
      const [url, integrity] = next;
      const response = await fetch(url, { integrity });
      if (!response.ok) throw new Error(`${url} answered ${response.status}`);
      await cache.put(url, response);
    }
  };
  await Promise.all(Array.from({ length: AT_ONCE }, fetchNext));
  if (BUILD.pages === "none") return;
  const pages = await caches.open(PAGES);
  if (BUILD.offline) await keep(pages, BUILD.offline, await fetch(BUILD.offline, { cache: "no-cache" }), true);
  // What is open was loaded without a worker: it is to be there without a network, too.
  const open = await self.clients.matchAll({ type: "window", includeUncontrolled: true });
  const urls = new Set(open.map((client) => plain(client.url)).filter((url) => url.startsWith(`${location.origin}/`)));
  for (const url of urls) {
    try {
      await keep(pages, url, await fetch(url, { headers: { accept: "text/html" } }));
    } catch {
      // The page is kept when it is seen again.
    }
  }
}

async function activate() {
  const cache = await caches.open(ASSETS);
  for (const request of await cache.keys()) {
    if (!wanted.has(request.url)) await cache.delete(request);
  }
  for (const name of await caches.keys()) {
    if (name.startsWith("fingerpost-pages-") && name !== PAGES) await caches.delete(name);
  }
  await self.registration.navigationPreload?.enable();
  await self.clients.claim();
}

async function asset(request) {
  const cached = (await caches.match(request.url, { cacheName: ASSETS })) ?? (await caches.match(request.url, { cacheName: SEEN }));
  if (cached) return cached;
  const response = await fetch(request);
  // What can't be read can't be told from a failure.
  if (response.status === 200 && response.type !== "opaque") {
    const seen = await caches.open(SEEN);
    await seen.put(request.url, response.clone());
    await trim(seen, MOST_SEEN);
  }
  return response;
}

async function page(event) {
  const pages = await caches.open(PAGES);
  const url = plain(event.request.url);
  const network = (async () => {
    const response = (await event.preloadResponse) ?? (await fetch(event.request));
    await keep(pages, url, response.clone());
    return response;
  })();
  // Whoever does not wait for it does not care how it ends.
  event.waitUntil(network.catch(() => {}));
  const cached = await pages.match(url);
  if (cached && BUILD.pages === "stale-while-revalidate") return cached;
  const late = new Promise((done) => setTimeout(done, BUILD.wait));
  try {
    const first = await (cached ? Promise.race([network, late]) : network);
    return first === undefined || (cached && first.status >= 500) ? cached : first;
  } catch {
    return cached ?? (BUILD.offline && (await pages.match(new URL(BUILD.offline, location).href))) ?? Response.error();
  }
}

// The page without what only its own scripts see.
function plain(url) {
  const whole = new URL(url);
  whole.hash = "";
  return whole.href;
}

async function keep(pages, url, response, always = false) {
  const control = response.headers.get("cache-control") ?? "";
  const html = (response.headers.get("content-type") ?? "").startsWith("text/html");
  if (!response.ok || response.redirected || response.type !== "basic" || !(always || html) || /no-store|private/.test(control)) return;
  await pages.put(url, response);
  await trim(pages, BUILD.keep, BUILD.offline && new URL(BUILD.offline, location).href);
}

// The oldest go first.
async function trim(cache, most, stays) {
  const keys = (await cache.keys()).filter((request) => request.url !== stays);
  for (const request of keys.slice(0, Math.max(0, keys.length - most))) await cache.delete(request);
}
