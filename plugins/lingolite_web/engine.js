/* Runs the graphs of a page for the backend `chromium`: by the page's own translator.js, with states kept here by number.

   A function that the backend evaluates in a document beside the page. */
async ({ threads }) => {
  const ort = await import("./runtime/ort.wasm.min.mjs");
  const { Translator } = await import("./translator.js");
  const load = async (name) => {
    const response = await fetch(`./${name}`);
    if (!response.ok) throw new Error(`${name}: the server answers ${response.status}`);
    return response;
  };
  const config = await (await load("translator.json")).json();
  const contents = new Map();
  for (const { name } of config.downloads) {
    contents.set(name, new Uint8Array(await (await load(name)).arrayBuffer()));
  }
  ort.env.wasm.wasmBinary = contents.get(config.runtime_binary).buffer;
  ort.env.wasm.wasmPaths = new URL("./runtime/", document.baseURI).href;
  ort.env.wasm.numThreads = threads;
  ort.env.logLevel = "error";
  const translator = await Translator.open(ort, config, null, contents);
  const states = new Map();
  let count = 0;

  const keep = (state) => {
    states.set((count += 1), state);
    return count;
  };
  const encoded = (array) => {
    const bytes = new Uint8Array(array.buffer, array.byteOffset, array.byteLength);
    let text = "";
    for (let at = 0; at < bytes.length; at += 32768) text += String.fromCharCode(...bytes.subarray(at, at + 32768));
    return btoa(text);
  };
  const rowsOf = (tensor, rows) => {
    const [size, ...rest] = tensor.dims;
    const width = tensor.data.length / size;
    const data = new tensor.data.constructor(rows.length * width);
    rows.forEach((row, index) => data.set(tensor.data.subarray(row * width, (row + 1) * width), index * width));
    return new ort.Tensor(tensor.type, data, [rows.length, ...rest]);
  };
  const selected = (tensors, rows) =>
    Object.fromEntries(Object.entries(tensors).map(([name, tensor]) => [name, rowsOf(tensor, rows)]));

  globalThis.lingolite = {
    encode: async ({ ids, mask }) => keep(await translator.encode(ids, mask)),
    step: async ({ state, tokens }) => encoded(await translator.step(states.get(state), tokens)),
    select: ({ state, rows }) => {
      const { fed, past, position } = states.get(state);
      return keep({ fed: selected(fed, rows), past: selected(past, rows), position });
    },
    replay: async (sources) => {
      const worker = new Worker("./worker.js", { type: "module" });
      const answer = (message, type) =>
        new Promise((resolve, reject) => {
          worker.onmessage = ({ data }) => {
            if (data.type === type) resolve(data);
            if (data.type === "error") reject(new Error(data.message));
          };
          worker.onerror = (event) => reject(new Error(event.message));
          worker.postMessage(message);
        });
      try {
        await answer({ type: "open", threads }, "ready");
        const { found } = await answer({ type: "replay", id: 1, sources, pair: 0 }, "replayed");
        return found;
      } finally {
        worker.terminate();
      }
    },
    forget: (numbers) => numbers.forEach((number) => states.delete(number)),
  };
}
