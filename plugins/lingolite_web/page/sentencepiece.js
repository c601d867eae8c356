/* SentencePiece models: unigram and BPE, text to pieces and back, equal to the library's own result.

   Owns the file format and the algorithms. Which ids pieces have in a model, and what stands around a text, is the
   business of tokenizer.js. References: sentencepiece_model.proto; Kudo 2018 (arXiv:1804.10959) for unigram,
   Sennrich et al. 2016 (arXiv:1508.07909) for BPE. */

const SPACE = "\u2581";
const UNKNOWN_SURFACE = " \u2047 ";
const UNKNOWN_PENALTY = 10;
const BPE = 2;
const Type = { NORMAL: 1, UNKNOWN: 2, CONTROL: 3, USER_DEFINED: 4, UNUSED: 5, BYTE: 6 };

const encoder = new TextEncoder();
const decoder = new TextDecoder("utf-8", { ignoreBOM: true });
const strictDecoder = new TextDecoder("utf-8", { ignoreBOM: true, fatal: true });

/* The fields of a protobuf message: numbers, and byte arrays for strings, bytes and messages. */
function* fields(bytes) {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  let at = 0;
  const varint = () => {
    let value = 0;
    for (let scale = 1; ; scale *= 128) {
      const byte = bytes[at++];
      value += (byte & 127) * scale;
      if (byte < 128) return value;
    }
  };
  while (at < bytes.length) {
    const key = varint();
    const field = Math.floor(key / 8);
    switch (key % 8) {
      case 0:
        yield [field, varint()];
        break;
      case 1:
        at += 8;
        break;
      case 2: {
        const length = varint();
        yield [field, bytes.subarray(at, at + length)];
        at += length;
        break;
      }
      case 5:
        yield [field, view.getFloat32(at, true)];
        at += 4;
        break;
      default:
        throw new Error("tokenizer.model is damaged");
    }
  }
}

/* The longest of some words at a place of a text. */
class LongestMatch {
  constructor(words) {
    this.words = new Set(words);
    this.lengths = [...new Set(words.map((word) => word.length))].sort((a, b) => b - a);
  }

  at(text, start) {
    for (const length of this.lengths) {
      if (this.words.has(text.substr(start, length)) && start + length <= text.length) return length;
    }
    return 0;
  }
}

/* Rewrites text by the table of a model (a double-array trie over UTF-8), and marks spaces. */
class Normalizer {
  constructor(spec, { suffix, userDefined }) {
    this.addPrefix = true;
    this.removeExtra = true;
    this.escape = true;
    this.suffix = suffix;
    this.userDefined = userDefined;
    this.trie = null;
    for (const [field, value] of fields(spec)) {
      if (field === 2 && value.length) this.readTable(value);
      else if (field === 3) this.addPrefix = value !== 0;
      else if (field === 4) this.removeExtra = value !== 0;
      else if (field === 5) this.escape = value !== 0;
    }
    this.space = this.escape ? SPACE : " ";
  }

  readTable(table) {
    const view = new DataView(table.buffer, table.byteOffset, table.byteLength);
    const size = view.getUint32(0, true);
    this.trie = Uint32Array.from({ length: size / 4 }, (_, index) => view.getUint32(4 + 4 * index, true));
    this.replacements = table.subarray(4 + size);
  }

  /* What the beginning of the rest of a text becomes, and how many UTF-16 units of it that is. */
  prefix(text, start) {
    const matched = this.userDefined.at(text, start);
    if (matched) return [text.substr(start, matched), matched];
    const character = String.fromCodePoint(text.codePointAt(start));
    return this.replaced(text, start) ?? [character, character.length];
  }

  replaced(text, start) {
    if (this.trie === null) return null;
    const offset = (unit) => (unit >>> 10) << ((unit & 512) >>> 6);
    let node = offset(this.trie[0]);
    let found = null;
    let at = start;
    while (at < text.length) {
      const character = String.fromCodePoint(text.codePointAt(at));
      for (const byte of encoder.encode(character)) {
        node ^= byte;
        const unit = this.trie[node];
        if (unit === undefined || (unit & 0x800000ff) !== byte) return found;
        node ^= offset(unit);
        // Keys end where characters do: no key is looked for inside one.
        if ((unit >>> 8) & 1) found = [this.trie[node] & 0x7fffffff, at + character.length - start];
      }
      at += character.length;
    }
    return found;
  }

  replacement(place) {
    return decoder.decode(this.replacements.subarray(place, this.replacements.indexOf(0, place)));
  }

  step(text, start) {
    const [what, length] = this.prefix(text, start);
    return [typeof what === "number" ? this.replacement(what) : what, length];
  }

  normalize(text) {
    let at = 0;
    if (this.removeExtra) {
      while (at < text.length) {
        const [part, length] = this.step(text, at);
        if (part !== " ") break;
        at += length;
      }
    }
    if (at >= text.length) return "";
    let out = !this.suffix && this.addPrefix ? this.space : "";
    let afterSpace = this.removeExtra;
    while (at < text.length) {
      let [part, length] = this.step(text, at);
      at += length;
      if (afterSpace) part = part.replace(/^ +/, "");
      if (part) {
        out += this.escape ? part.replaceAll(" ", SPACE) : part;
        afterSpace = this.removeExtra && part.endsWith(" ");
      }
    }
    if (this.removeExtra) while (out.endsWith(this.space)) out = out.slice(0, -this.space.length);
    return this.suffix && this.addPrefix ? out + this.space : out;
  }
}

/* A priority queue of merges: the best score first, and of equal ones the leftmost. */
class Merges {
  constructor() {
    this.heap = [];
  }

  static isBefore(a, b) {
    return a.score > b.score || (a.score === b.score && a.left < b.left);
  }

  push(merge) {
    const heap = this.heap;
    let at = heap.push(merge) - 1;
    while (at > 0) {
      const parent = (at - 1) >> 1;
      if (!Merges.isBefore(heap[at], heap[parent])) break;
      [heap[at], heap[parent]] = [heap[parent], heap[at]];
      at = parent;
    }
  }

  pop() {
    const heap = this.heap;
    const best = heap[0];
    const last = heap.pop();
    if (!heap.length) return best;
    heap[0] = last;
    for (let at = 0; ; ) {
      let child = 2 * at + 1;
      if (child + 1 < heap.length && Merges.isBefore(heap[child + 1], heap[child])) child += 1;
      if (child >= heap.length || !Merges.isBefore(heap[child], heap[at])) return best;
      [heap[at], heap[child]] = [heap[child], heap[at]];
      at = child;
    }
  }
}

export class SentencePiece {
  /* `bytes`: the content of a tokenizer.model, a Uint8Array. */
  constructor(bytes) {
    this.pieces = [];
    this.scores = [];
    this.types = [];
    let trainer = new Uint8Array();
    let normalizer = new Uint8Array();
    let denormalizer = new Uint8Array();
    for (const [field, value] of fields(bytes)) {
      if (field === 1) this.readPiece(value);
      else if (field === 2) trainer = value;
      else if (field === 3) normalizer = value;
      else if (field === 5) denormalizer = value;
    }
    this.readTrainer(trainer);
    this.indexPieces();
    const settings = { suffix: this.suffix, userDefined: this.userDefined };
    this.normalizer = new Normalizer(normalizer, settings);
    const plain = { suffix: false, userDefined: new LongestMatch([]) };
    this.denormalizer = new Normalizer(denormalizer, plain);
  }

  readPiece(message) {
    let [piece, score, type] = ["", 0, Type.NORMAL];
    for (const [field, value] of fields(message)) {
      if (field === 1) piece = decoder.decode(value);
      else if (field === 2) score = value;
      else if (field === 3) type = value;
    }
    this.pieces.push(piece);
    this.scores.push(score);
    this.types.push(type);
  }

  readTrainer(message) {
    let kind = 1;
    this.suffix = false;
    this.byteFallback = false;
    this.unknownSurface = UNKNOWN_SURFACE;
    for (const [field, value] of fields(message)) {
      if (field === 3) kind = value;
      else if (field === 24) this.suffix = value !== 0;
      else if (field === 35) this.byteFallback = value !== 0;
      else if (field === 44) this.unknownSurface = decoder.decode(value);
    }
    if (kind > BPE) throw new Error("tokenizer.model is neither a unigram nor a BPE model");
    this.isBpe = kind === BPE;
  }

  indexPieces() {
    const inText = new Set([Type.NORMAL, Type.USER_DEFINED, Type.UNUSED]);
    this.known = new Map();
    this.reserved = new Map();
    this.pieces.forEach((piece, id) => (inText.has(this.types[id]) ? this.known : this.reserved).set(piece, id));
    this.unknown = this.types.indexOf(Type.UNKNOWN);
    this.longest = Math.max(0, ...[...this.known.keys()].map((piece) => piece.length));
    const normal = this.scores.filter((_, id) => this.types[id] === Type.NORMAL);
    this.worstScore = normal.reduce((a, b) => Math.min(a, b), Infinity);
    this.userDefined = new LongestMatch(this.pieces.filter((_, id) => this.types[id] === Type.USER_DEFINED));
  }

  id(piece) {
    return this.reserved.get(piece) ?? this.known.get(piece) ?? this.unknown;
  }

  /* Pieces and ids of a text: a list of [piece, id]. */
  encode(text) {
    const normalized = this.normalizer.normalize(text.toWellFormed());
    if (!normalized) return [];
    const segments = this.isBpe ? this.merge(normalized) : this.best(normalized);
    const found = [];
    let afterUnknown = false;
    for (const [piece, id] of segments) {
      const isUnknown = id === this.unknown;
      if (isUnknown && this.byteFallback) {
        for (const byte of encoder.encode(piece)) {
          const spelled = `<0x${byte.toString(16).toUpperCase().padStart(2, "0")}>`;
          found.push([spelled, this.id(spelled)]);
        }
      } else if (isUnknown && afterUnknown) {
        found.at(-1)[0] += piece; // a run of what is unknown is one piece
      } else {
        found.push([piece, id]);
      }
      afterUnknown = isUnknown;
    }
    return found;
  }

  /* Unigram: the segmentation with the largest sum of scores (Viterbi). Sums are float32, as in the library. */
  best(text) {
    const size = text.length;
    const starts = [0];
    for (const character of text) starts.push(starts.at(-1) + character.length);
    const scores = new Float32Array(size + 1);
    const from = new Int32Array(size + 1).fill(-1);
    const ids = new Int32Array(size + 1);
    const offer = (start, end, id, score) => {
      const sum = Math.fround(score + scores[start]);
      if (from[end] === -1 || sum > scores[end]) {
        scores[end] = sum;
        from[end] = start;
        ids[end] = id;
      }
    };
    const unknownScore = Math.fround(this.worstScore - UNKNOWN_PENALTY);
    starts.slice(0, -1).forEach((start, index) => {
      let hasSingle = false;
      for (let next = index + 1; next < starts.length && starts[next] - start <= this.longest; next++) {
        const end = starts[next];
        const piece = text.slice(start, end);
        const id = this.known.get(piece);
        if (id === undefined || this.types[id] === Type.UNUSED) continue;
        offer(start, end, id, this.score(id, piece));
        hasSingle ||= next === index + 1;
      }
      if (!hasSingle) offer(start, starts[index + 1], this.unknown, unknownScore);
    });
    const found = [];
    for (let end = size; end > 0; end = from[end]) found.push([text.slice(from[end], end), ids[end]]);
    return found.reverse();
  }

  /* A symbol that a user defined beats what it is made of, whose scores are negative. The value, found with version
     0.2.3 of the library, decides only how ties further right are rounded. */
  score(id, piece) {
    if (this.types[id] !== Type.USER_DEFINED) return this.scores[id];
    return 0.1 * (encoder.encode(piece).length - 1);
  }

  /* BPE: neighbours are merged, the pair with the best score first. */
  merge(text) {
    const symbols = this.symbols(text);
    const queue = new Merges();
    const parts = new Map();
    const offer = (left, right) => {
      if (left < 0 || right < 0 || symbols[left].isFrozen || symbols[right].isFrozen) return;
      const piece = symbols[left].piece + symbols[right].piece;
      const id = this.known.get(piece);
      if (id === undefined) return;
      queue.push({ left, right, score: this.scores[id], length: piece.length });
      if (this.types[id] === Type.UNUSED) parts.set(piece, [symbols[left].piece, symbols[right].piece]);
    };
    for (let right = 1; right < symbols.length; right++) offer(right - 1, right);
    while (queue.heap.length) {
      const { left, right, length } = queue.pop();
      const [a, b] = [symbols[left], symbols[right]];
      if (!a.piece || !b.piece || a.piece.length + b.piece.length !== length) continue;
      a.piece += b.piece;
      b.piece = "";
      a.next = b.next;
      if (b.next >= 0) symbols[b.next].previous = left;
      offer(a.previous, left);
      offer(left, a.next);
    }
    const found = [];
    for (let at = 0; at >= 0; at = symbols[at].next) this.split(symbols[at].piece, parts, found);
    return found;
  }

  symbols(text) {
    const symbols = [];
    for (let at = 0; at < text.length; ) {
      const matched = this.userDefined.at(text, at);
      const length = matched || String.fromCodePoint(text.codePointAt(at)).length;
      const index = symbols.length;
      symbols.push({ piece: text.substr(at, length), isFrozen: matched > 0, previous: index - 1, next: index + 1 });
      at += length;
    }
    symbols.at(-1).next = -1;
    return symbols;
  }

  /* A piece that is not used stands for the two that it was merged from. */
  split(piece, parts, found) {
    const id = this.id(piece);
    if (this.types[id] === Type.UNUSED && parts.has(piece)) {
      for (const part of parts.get(piece)) this.split(part, parts, found);
    } else {
      found.push([piece, id]);
    }
  }

  /* The text of pieces. */
  decode(pieces) {
    let text = "";
    let bytes = [];
    let mayTrim = true;
    let trimmed = false;
    const flush = () => {
      text += textOfBytes(bytes);
      bytes = [];
    };
    for (const piece of pieces) {
      const id = this.id(piece);
      if (this.types[id] === Type.BYTE) {
        bytes.push(parseInt(piece.slice(3, 5), 16));
        continue;
      }
      flush();
      if (trimmed || text) mayTrim = false;
      trimmed = false;
      if (this.types[id] === Type.CONTROL) continue;
      if (id === this.unknown) {
        text += piece === this.pieces[id] ? this.unknownSurface : piece;
        continue;
      }
      let rest = piece;
      if (mayTrim && (this.normalizer.addPrefix || this.normalizer.removeExtra) && rest.startsWith(SPACE)) {
        rest = rest.slice(SPACE.length);
        trimmed = !this.normalizer.removeExtra;
      }
      text += rest.replaceAll(SPACE, " ");
    }
    flush();
    return this.denormalizer.trie === null ? text : this.denormalizer.normalize(text);
  }
}

/* UTF-8 to text; each byte that begins no character becomes U+FFFD, where a TextDecoder would join some of them. */
function textOfBytes(bytes) {
  let text = "";
  for (let at = 0; at < bytes.length; ) {
    const length = [0x80, 0xc0, 0xe0, 0xf0, 0xf8, 0x100].findIndex((bound) => bytes[at] < bound) || 1;
    const character = characterOf(bytes.slice(at, at + length));
    text += character ?? "\ufffd";
    at += character === null ? 1 : length;
  }
  return text;
}

function characterOf(bytes) {
  try {
    return strictDecoder.decode(Uint8Array.from(bytes));
  } catch {
    return null;
  }
}
