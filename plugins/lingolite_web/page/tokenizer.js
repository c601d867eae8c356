/* Text to the ids of a model and back, by the data that LingoLite wrote into translator.json.

   Owns frames, control tokens and ids; pieces are the business of sentencepiece.js. The fields are described in
   lingolite_cli/tokenization/ported.py. */

import { SentencePiece } from "./sentencepiece.js";

const SPACE = "\u2581";

/* White space as Python has it: `trim` takes other characters. */
const EDGES = /^[\t-\r\x1c-\x20\x85\xa0\u1680\u2000-\u200a\u2028\u2029\u202f\u205f\u3000]+|[\t-\r\x1c-\x20\x85\xa0\u1680\u2000-\u200a\u2028\u2029\u202f\u205f\u3000]+$/gu;

export function strip(text) {
  return text.replace(EDGES, "");
}

class Side {
  constructor(described, model, list) {
    this.described = described;
    this.model = model;
    this.list = list;
    this.ids = list && new Map(list.map((piece, id) => [piece, id]));
    this.controls = new Set(described.controls);
    this.spelled = new Map(Object.entries(described.spelled).map(([id, ids]) => [Number(id), ids]));
  }

  /* Ids of a text in which a control token that is typed is one. */
  encodeAll(text) {
    const { moved, unknown } = this.described;
    return this.model.encode(text).map(([piece, id]) => {
      if (this.ids) return this.ids.get(piece) ?? unknown;
      return id === this.model.unknown ? unknown : id + moved;
    });
  }

  spell(ids) {
    return ids.flatMap((id) => this.spelled.get(id) ?? [id]);
  }

  decode(ids) {
    const kept = ids.filter((id) => !this.controls.has(id));
    const pieces = kept.map((id) => (this.list ? this.list[id] : this.model.pieces[id - this.described.moved]));
    const text = this.model.decode(pieces);
    return this.list ? text.replaceAll(SPACE, " ") : text;
  }
}

export class Tokenizer {
  /* `described`: the field `tokenizer` of translator.json. `contents`: files by name, as Uint8Arrays. */
  constructor(described, contents) {
    this.described = described;
    const models = new Map();
    const side = (one) => {
      if (!models.has(one.model)) models.set(one.model, new SentencePiece(contents.get(one.model)));
      const list = one.pieces && JSON.parse(new TextDecoder().decode(contents.get(one.pieces)));
      return new Side(one, models.get(one.model), list);
    };
    this.source = side(described.source);
    this.target = side(described.target);
  }

  /* Ids of a framed source, and whether its end was cut off. */
  encodeSource(text, pair) {
    const spoken = strip(text) ? text : "";
    const [before, body] = this.body(spoken, pair);
    const room = this.described.max_length - pair.source_prefix.length - pair.source_suffix.length;
    const inside = [...before, ...body];
    return {
      ids: [...pair.source_prefix, ...inside.slice(0, room), ...pair.source_suffix],
      isEmpty: body.length === 0,
      isTruncated: inside.length > room,
    };
  }

  /* Ids of the pair's prefix and of the text: encoded together, since pieces may depend on what stands before. */
  body(text, pair) {
    if (!pair.text_prefix || !text) return [[], this.source.spell(this.source.encodeAll(text))];
    const numBefore = this.source.encodeAll(pair.text_prefix).length;
    const ids = this.source.encodeAll(pair.text_prefix + text);
    return [ids.slice(0, numBefore), this.source.spell(ids.slice(numBefore))];
  }

  decode(ids) {
    const text = this.target.decode(ids);
    return this.described.strips ? strip(text) : text;
  }
}
