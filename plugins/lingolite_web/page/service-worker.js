/* Makes the page work without a network. Small files are kept here; the model's by worker.js, by their digests. */

importScripts("./files.js"); // version and names of the files, written with the page

const { version, shell, downloads } = self.LINGOLITE;
const SHELL = `lingolite-page-${version}`;
const STORE = "lingolite-files";

async function keepShell() {
  const kept = await caches.open(SHELL);
  await kept.addAll(shell.map((name) => new Request(`./${name}`, { cache: "reload" })));
}

/* Where an earlier version is kept, the new model comes with the update: the next visit may have no network. At the
   first visit worker.js loads it, and shows how far it is. */
async function keepModel() {
  if ((await otherShells()).length === 0) return;
  const store = await caches.open(STORE);
  for (const { name, sha256 } of downloads) {
    const key = `./${name}?sha256=${sha256}`;
    if (!(await store.match(key))) await store.put(key, await fetch(`./${name}`, { cache: "reload" }));
  }
}

async function otherShells() {
  return (await caches.keys()).filter((name) => name.startsWith("lingolite-page-") && name !== SHELL);
}

async function forgetOlder() {
  await Promise.all((await otherShells()).map((name) => caches.delete(name)));
  const store = await caches.open(STORE);
  const wanted = new Set(downloads.map((file) => file.sha256));
  for (const request of await store.keys()) {
    if (!wanted.has(new URL(request.url).searchParams.get("sha256"))) await store.delete(request);
  }
}

async function answer(request) {
  const kept = await caches.open(SHELL);
  const path = new URL(request.url).pathname;
  const page = new URL("./", self.registration.scope).pathname;
  const found = await kept.match(path === page ? "./index.html" : request, { ignoreSearch: true });
  return found ?? fetch(request);
}

self.addEventListener("install", (event) => event.waitUntil(Promise.all([keepShell(), keepModel()])));
self.addEventListener("activate", (event) => event.waitUntil(forgetOlder().then(() => self.clients.claim())));
self.addEventListener("fetch", (event) => {
  const isOurs = event.request.method === "GET" && event.request.url.startsWith(self.registration.scope);
  if (isOurs) event.respondWith(answer(event.request));
});
