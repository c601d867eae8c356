/* The page: what a person sees and presses. Models and files are the business of worker.js. */

const MEGABYTE = 1e6;

const at = (id) => document.getElementById(id);
const worker = new Worker(new URL("worker.js", import.meta.url), { type: "module" });
const asked = new URLSearchParams(location.search);

let config;
let request = 0;
let shown = "";

const name = (language) => {
  try {
    return new Intl.DisplayNames(["en"], { type: "language" }).of(language.replaceAll("_", "-")) ?? language;
  } catch {
    return language;
  }
};
const pairName = ({ source, target }) => `${name(source)} → ${name(target)}`;
const seconds = (ms) => `${(ms / 1000).toFixed(ms < 9995 ? 2 : 1)} s`;
const megabytes = (bytes) => `${(bytes / MEGABYTE).toFixed(1)} MB`;
const pair = () => Number(at("pair").value);

function fail(message) {
  at("loading").hidden = true;
  at("error").textContent = message;
  at("error").hidden = false;
}

function showTranslation(text) {
  shown = text;
  at("target").textContent = text;
  at("copy").disabled = text === "";
}

function setBusy(isBusy) {
  at("target").setAttribute("aria-busy", String(isBusy));
  at("stop").hidden = !isBusy;
}

function translate() {
  const text = at("source").value;
  if (at("translate").disabled) return;
  request += 1;
  showTranslation("");
  at("status").textContent = "";
  at("error").hidden = true;
  setBusy(true);
  worker.postMessage({ type: "translate", id: request, text, pair: pair() });
}

function stop() {
  worker.postMessage({ type: "stop" });
  request += 1; // what still comes is of an earlier request
  setBusy(false);
  at("status").textContent = "stopped";
}

function finish({ text, numTokens, isTruncated, ms }) {
  showTranslation(text);
  setBusy(false);
  const rate = numTokens ? `, ${numTokens} tokens, ${Math.round((1000 * numTokens) / ms)} tokens/s` : "";
  const cut = isTruncated ? "; a sentence was too long, and its end was left out" : "";
  at("status").textContent = `${seconds(ms)}${rate}${cut}`;
}

function showProgress({ loaded, total }) {
  at("progress").value = loaded / total;
  at("loading-text").textContent =
    loaded < total ? `Loading the model: ${megabytes(loaded)} of ${megabytes(total)}` : "Opening the model …";
}

function ready({ threads, downloadMs, openMs }) {
  at("loading").hidden = true;
  for (const id of ["translate", "check"]) at(id).disabled = false;
  addFact("Threads", crossOriginIsolated ? String(threads) : "1 (the server sends no COOP and COEP headers)");
  addFact("Start", `${seconds(downloadMs)} to load, ${seconds(openMs)} to open`);
  document.documentElement.dataset.state = "ready";
  if (at("source").value.trim()) translate();
}

function addFact(term, description) {
  at("facts").append(
    Object.assign(document.createElement("dt"), { textContent: term }),
    Object.assign(document.createElement("dd"), { textContent: description }),
  );
}

async function check() {
  at("check").disabled = true;
  const response = await fetch("./golden.json");
  const goldens = await response.json();
  const isPair = ({ source, target }) => source === goldens.source_language && target === goldens.target_language;
  const number = config.tokenizer.pairs.findIndex(isPair);
  const expected = goldens.sentences;
  const listener = ({ data }) => {
    if (data.type === "replaying") at("check-result").textContent = `${data.count} of ${data.total} …`;
    if (data.type !== "replayed") return;
    worker.removeEventListener("message", listener);
    const isEqual = (golden, found) =>
      golden.text === found.text &&
      ["ids", "tokens"].every((what) => JSON.stringify(golden[what]) === JSON.stringify(found[what]));
    const count = expected.filter((golden, index) => isEqual(golden, data.found[index])).length;
    at("check-result").textContent = `${count} of ${expected.length} sentences equal in ids, tokens and text`;
    at("check").disabled = false;
  };
  worker.addEventListener("message", listener);
  worker.postMessage({ type: "replay", id: "check", sources: expected.map(({ source }) => source), pair: number });
}

const SHOW = {
  progress: showProgress,
  ready,
  partial: (data) => data.id === request && showTranslation(data.text),
  done: (data) => data.id === request && finish(data),
  error: ({ message, doing }) => {
    setBusy(false);
    fail(doing === "open" ? `The model cannot be opened: ${message}` : `That failed: ${message}`);
  },
};

function labelPair() {
  const { source, target } = config.tokenizer.pairs[pair()];
  at("source-label").textContent = name(source);
  at("target-label").textContent = name(target);
  at("source").lang = source.replaceAll("_", "-");
  at("target").lang = target.replaceAll("_", "-");
}

function showConfig() {
  const { pairs } = config.tokenizer;
  pairs.forEach((one, index) => at("pair").add(new Option(pairName(one), String(index))));
  at("pair-field").hidden = pairs.length === 1;
  const title = pairs.length === 1 ? pairName(pairs[0]) : "Translate";
  document.title = title;
  at("title").textContent = title;
  labelPair();
  const bytes = config.downloads.reduce((sum, file) => sum + file.size, 0);
  for (const [term, description] of config.facts) addFact(term, description);
  addFact("Download", `${megabytes(bytes)}, kept in this browser for use without a network`);
}

function setTheme(theme) {
  document.documentElement.dataset.theme = theme;
  at("theme").textContent = theme === "dark" ? "☀ Light" : "☾ Dark";
}

function startTheme() {
  const isDark = matchMedia("(prefers-color-scheme: dark)").matches;
  setTheme(localStorage.getItem("theme") ?? (isDark ? "dark" : "light"));
  at("theme").addEventListener("click", () => {
    setTheme(document.documentElement.dataset.theme === "dark" ? "light" : "dark");
    localStorage.setItem("theme", document.documentElement.dataset.theme);
  });
}

function listen() {
  at("translate").addEventListener("click", translate);
  at("stop").addEventListener("click", stop);
  at("check").addEventListener("click", check);
  at("pair").addEventListener("change", () => {
    labelPair();
    translate();
  });
  at("clear").addEventListener("click", () => {
    if (!at("stop").hidden) stop();
    at("source").value = "";
    showTranslation("");
    at("status").textContent = "";
    at("source").focus();
  });
  at("copy").addEventListener("click", async () => {
    await navigator.clipboard.writeText(shown);
    at("status").textContent = "copied";
  });
  at("source").addEventListener("keydown", (event) => {
    if (event.key !== "Enter" || !(event.ctrlKey || event.metaKey)) return;
    event.preventDefault();
    translate();
  });
  addEventListener("keydown", (event) => {
    if (event.key === "Escape" && !at("stop").hidden) stop();
  });
  worker.addEventListener("message", ({ data }) => SHOW[data.type]?.(data));
  worker.addEventListener("error", (event) => fail(`The page cannot start: ${event.message ?? "a file is missing"}`));
}

async function start() {
  startTheme();
  listen();
  if (navigator.platform.startsWith("Mac")) at("modifier").textContent = "⌘";
  const response = await fetch("./translator.json");
  if (!response.ok) throw new Error(`translator.json: the server answers ${response.status}`);
  config = await response.json();
  showConfig();
  const threads = Number(asked.get("threads")) || config.threads;
  worker.postMessage({ type: "open", threads });
  // After the model has been asked for, so that the first download is not done twice at once.
  await navigator.serviceWorker?.register("./service-worker.js");
}

start().catch((error) => fail(`The page cannot start: ${error.message}`));
