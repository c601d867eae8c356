/* Downloads the model once, keeps it for later, and translates; the page stays free meanwhile.

   Owns downloads, their digests and the store; the page asks by messages and shows what comes back. */

import * as ort from "./runtime/ort.wasm.min.mjs";
import { Tokenizer, strip } from "./tokenizer.js";
import { Translator } from "./translator.js";

const STORE = "lingolite-files";

let translator;
let config;
let current = null;

async function digest(bytes) {
  const hash = new Uint8Array(await crypto.subtle.digest("SHA-256", bytes));
  return Array.from(hash, (byte) => byte.toString(16).padStart(2, "0")).join("");
}

/* A file by its digest: from the store where it is, else from the server, with its progress. */
async function load({ name, sha256, size }, store, onProgress) {
  const key = `./${name}?sha256=${sha256}`;
  const kept = await store?.match(key);
  if (kept) {
    const bytes = new Uint8Array(await kept.arrayBuffer());
    if ((await digest(bytes)) === sha256) {
      onProgress(size);
      return bytes;
    }
  }
  const response = await fetch(`./${name}`, { cache: "no-cache" });
  if (!response.ok) throw new Error(`${name}: the server answers ${response.status}`);
  const bytes = new Uint8Array(size);
  let at = 0;
  for (const reader = response.body.getReader(); ; ) {
    const { done, value } = await reader.read();
    if (done) break;
    if (at + value.length > size) throw new Error(`${name} is not the file that this page was made with`);
    bytes.set(value, at);
    at += value.length;
    onProgress(value.length);
  }
  // Only secure contexts have digests; others have no store either, and keep nothing.
  if (at !== size || (crypto.subtle && (await digest(bytes)) !== sha256)) {
    throw new Error(`${name} is not the file that this page was made with`);
  }
  await store?.put(key, new Response(bytes)).catch(() => null); // a full disk costs a download, not a translation
  return bytes;
}

async function loadAll() {
  const store = await globalThis.caches?.open(STORE).catch(() => null);
  const total = config.downloads.reduce((sum, file) => sum + file.size, 0);
  let loaded = 0;
  const onProgress = (size) => postMessage({ type: "progress", loaded: (loaded += size), total });
  const files = await Promise.all(config.downloads.map((file) => load(file, store, onProgress)));
  return new Map(config.downloads.map((file, index) => [file.name, files[index]]));
}

async function open({ threads }) {
  const began = performance.now();
  const response = await fetch("./translator.json");
  if (!response.ok) throw new Error(`translator.json: the server answers ${response.status}`);
  config = await response.json();
  const contents = await loadAll();
  const downloaded = performance.now();
  ort.env.wasm.wasmBinary = contents.get(config.runtime_binary).buffer;
  ort.env.wasm.wasmPaths = new URL("./runtime/", import.meta.url).href;
  ort.env.wasm.numThreads = crossOriginIsolated ? threads : 1;
  ort.env.logLevel = "error";
  const tokenizer = new Tokenizer(config.tokenizer, contents);
  translator = await Translator.open(ort, config, tokenizer, contents);
  postMessage({
    type: "ready",
    threads: ort.env.wasm.numThreads,
    downloadMs: downloaded - began,
    openMs: performance.now() - downloaded,
  });
}

/* Sentences of a text, each with the white space around it. */
function sentences(text, language) {
  const lines = text.split(/(\r?\n)/);
  if (!config.splits_sentences || !Intl.Segmenter) return lines;
  const segmenter = new Intl.Segmenter(language, { granularity: "sentence" });
  return lines.flatMap((line) => [...segmenter.segment(line)].map((part) => part.segment));
}

async function translate({ id, text, pair: number }) {
  current = id;
  const pair = config.tokenizer.pairs[number];
  const began = performance.now();
  let [done, numTokens, isTruncated] = ["", 0, false];
  for (const part of sentences(text, pair.source)) {
    const source = strip(part);
    const start = part.indexOf(source);
    const encoded = translator.tokenizer.encodeSource(source, pair);
    isTruncated ||= encoded.isTruncated;
    let found = "";
    if (!encoded.isEmpty) {
      for await (const tokens of translator.tokens(encoded.ids, pair)) {
        if (current !== id) return;
        numTokens += 1;
        found = translator.tokenizer.decode(tokens);
        // An unfinished character of several bytes shows as U+FFFD until the rest is there.
        const shown = found.replace(/\ufffd+$/, "");
        postMessage({ type: "partial", id, text: done + part.slice(0, start) + shown });
      }
    }
    done += part.slice(0, start) + found + part.slice(start + source.length);
  }
  postMessage({ type: "done", id, text: done, numTokens, isTruncated, ms: performance.now() - began });
}

async function replay({ id, sources, pair }) {
  const found = [];
  for (const source of sources) {
    found.push(await translator.replay(source, config.tokenizer.pairs[pair]));
    postMessage({ type: "replaying", id, count: found.length, total: sources.length });
  }
  postMessage({ type: "replayed", id, found });
}

const ANSWERS = { open, translate, replay };

addEventListener("message", async ({ data }) => {
  if (data.type === "stop") {
    current = null;
    return;
  }
  try {
    await ANSWERS[data.type](data);
  } catch (error) {
    postMessage({ type: "error", id: data.id ?? null, doing: data.type, message: error.message });
  }
});
