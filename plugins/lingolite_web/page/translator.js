/* Greedy translation with the exported graphs in ONNX Runtime.

   Owns the loop over tokens; text and ids are the business of tokenizer.js. Inputs and outputs of the graphs are those
   that export_config.json of the ONNX export describes. */

const dataLocation = "weights.bin";

function filled(type, dims, value) {
  const size = dims.reduce((product, dim) => product * dim, 1);
  const arrays = { float32: Float32Array, int64: BigInt64Array, bool: Uint8Array };
  return { type, dims, data: new arrays[type](size).fill(value) };
}

export class Translator {
  /* `ort`: the runtime. `config`: translator.json. `contents`: files by name, as Uint8Arrays. */
  static async open(ort, config, tokenizer, contents) {
    const options = {
      executionProviders: ["wasm"],
      // From "extended" on, the WebAssembly build computes some int8 graphs otherwise than ONNX Runtime elsewhere: keys
      // of a small model were 0.06 off, and goldens with them. At "basic" every value is equal bit for bit.
      graphOptimizationLevel: "basic",
      externalData: [{ path: dataLocation, data: contents.get(dataLocation) }],
    };
    const encoder = await ort.InferenceSession.create(contents.get("encoder.onnx"), options);
    const decoder = await ort.InferenceSession.create(contents.get("decoder.onnx"), options);
    return new Translator(ort, config, tokenizer, encoder, decoder);
  }

  constructor(ort, config, tokenizer, encoder, decoder) {
    this.ort = ort;
    this.config = config;
    this.tokenizer = tokenizer;
    this.encoder = encoder;
    this.decoder = decoder;
    this.past = decoder.inputMetadata.filter((input) => input.name.startsWith("past_"));
    this.readsPosition = decoder.inputNames.includes("position");
  }

  tensor({ type, dims, data }) {
    return new this.ort.Tensor(type, data, dims);
  }

  /* Reads sources of equal length, padded where the mask is false; what is returned stands before the first target
     token. */
  async encode(rows, mask) {
    const dims = [rows.length, rows[0].length];
    const sourceIds = this.tensor({ type: "int64", dims, data: BigInt64Array.from(rows.flat(), BigInt) });
    const sourceMask = this.tensor({ type: "bool", dims, data: Uint8Array.from(mask.flat(), Number) });
    const cross = await this.encoder.run({ source_ids: sourceIds, source_mask: sourceMask });
    const past = {};
    for (const { name, type, shape } of this.past) {
      // Caches are empty at first, and cells of a recurrent decoder are 0.
      const size = shape.map((dim, axis) => (axis === 0 ? rows.length : typeof dim === "number" ? dim : 0));
      past[name] = this.tensor(filled(type, size, 0));
    }
    return { fed: { source_mask: sourceMask, ...cross }, past, position: 0 };
  }

  /* Reads one target token a row and returns the logits of the next, row by row in one Float32Array. */
  async step(state, tokens) {
    const data = BigInt64Array.from(tokens, BigInt);
    const fed = { ...state.fed, ...state.past, tokens: this.tensor({ type: "int64", dims: [tokens.length], data }) };
    if (this.readsPosition) fed.position = this.tensor(filled("int64", [1], BigInt(state.position)));
    const given = await this.decoder.run(fed);
    for (const { name } of this.past) state.past[name] = given[name.replace("past_", "present_")];
    state.position += 1;
    return given.logits.data;
  }

  best(logits, barred) {
    for (const id of barred) logits[id] = -Infinity;
    let best = 0;
    for (let id = 1; id < logits.length; id++) if (logits[id] > logits[best]) best = id;
    return best;
  }

  limit(numSourceTokens) {
    const { max_length, min_length, max_length_factor } = this.config.decoding;
    if (max_length_factor === null) return max_length;
    return Math.min(max_length, Math.max(1, min_length, Math.trunc(max_length_factor * numSourceTokens)));
  }

  /* Yields the tokens of a translation so far, after each one. `ids` are of a framed source that is not empty. */
  async *tokens(ids, pair) {
    const { start, end, never_generated } = this.tokenizer.described;
    const state = await this.encode([ids], [ids.map(() => true)]);
    let logits;
    for (const token of [start, ...pair.target_prefix]) logits = await this.step(state, [token]);
    const found = [];
    for (let limit = this.limit(ids.length); ; ) {
      const isShort = found.length < this.config.decoding.min_length;
      const token = this.best(logits, isShort ? [...never_generated, end] : never_generated);
      found.push(token);
      yield found;
      if (token === end || found.length >= limit) return;
      logits = await this.step(state, [token]);
    }
  }

  /* A sentence with what a golden has of it: ids, tokens and text. */
  async replay(source, pair) {
    const { ids, isEmpty } = this.tokenizer.encodeSource(source, pair);
    let tokens = [];
    if (!isEmpty) for await (const found of this.tokens(ids, pair)) tokens = [...found];
    return { source, ids, tokens, text: this.tokenizer.decode(tokens) };
  }
}
