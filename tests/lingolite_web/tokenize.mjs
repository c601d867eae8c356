/* Reads a tokenizer and cases from stdin, and writes what the page's tokenizer makes of them. */

import { readFileSync } from "node:fs";
import { pathToFileURL } from "node:url";

const { Tokenizer } = await import(pathToFileURL(process.argv[2]).href);
const given = JSON.parse(readFileSync(0, "utf-8"));
const contents = new Map(Object.entries(given.contents).map(([name, data]) => [name, new Uint8Array(Buffer.from(data, "base64"))]));
const tokenizer = new Tokenizer(given.tokenizer, contents);
const [pair] = given.tokenizer.pairs;
const found = given.cases.map(({ text, target_ids }) => [tokenizer.encodeSource(text, pair).ids, tokenizer.decode(target_ids)]);
process.stdout.write(JSON.stringify(found));
