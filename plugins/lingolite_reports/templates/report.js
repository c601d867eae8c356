"use strict";
(() => {
  /** Expand all details for printing. */
  function startPrinting() {
    let opened = [];
    addEventListener("beforeprint", () => {
      opened = [...document.querySelectorAll("details:not([open])")];
      for (const details of opened) details.open = true;
    });
    addEventListener("afterprint", () => { for (const details of opened) details.open = false; });
  }

  const PAGE = 15;
  const MOST_CELLS = 250000;  // of the LCS table; of longer texts, only what is equal at both ends is found
  const words = (text) => text.split(/\s+/u).filter(Boolean);

  /** For each word, whether it is in the longest common subsequence: [of `first`, of `second`]. */
  function common(first, second) {
    const rows = first.length, columns = second.length, shorter = Math.min(rows, columns);
    if (rows * columns > MOST_CELLS) {
      let start = 0, end = 0;
      while (start < shorter && first[start] === second[start]) start++;
      while (end < shorter - start && first[rows - 1 - end] === second[columns - 1 - end]) end++;
      return [first, second].map((all) => all.map((_, place) => place < start || place >= all.length - end));
    }
    const length = Array.from({ length: rows + 1 }, () => new Uint16Array(columns + 1));
    for (let row = rows - 1; row >= 0; row--) {
      for (let column = columns - 1; column >= 0; column--) {
        length[row][column] = first[row] === second[column]
          ? length[row + 1][column + 1] + 1 : Math.max(length[row + 1][column], length[row][column + 1]);
      }
    }
    const inFirst = Array(rows).fill(false), inSecond = Array(columns).fill(false);
    for (let row = 0, column = 0; row < rows && column < columns;) {
      if (first[row] === second[column]) { inFirst[row++] = true; inSecond[column++] = true; }
      else if (length[row + 1][column] >= length[row][column + 1]) row++;
      else column++;
    }
    return [inFirst, inSecond];
  }

  function element(tag, attributes = {}, ...children) {
    const made = document.createElement(tag);
    for (const [name, value] of Object.entries(attributes)) made.setAttribute(name, value);
    made.append(...children);
    return made;
  }

  /** The text, with words not in `kept` wrapped in elements of `tag`; adjacent words share one element. */
  function marked(text, kept, tag) {
    const parts = words(text), nodes = [];
    for (let start = 0; start < parts.length;) {
      let end = start;
      while (end < parts.length && kept[end] === kept[start]) end++;
      const run = parts.slice(start, end).join(" ");
      nodes.push(kept[start] ? run : element(tag, {}, run));
      if (end < parts.length) nodes.push(" ");
      start = end;
    }
    return nodes;
  }

  /** All sentences of a pair of systems, with the values for filters and sorting. */
  function sentences(data, [place, referenceName, candidateName]) {
    const text = data.texts[place];
    const first = Object.values(text.systems)[0].hypotheses;
    const said = (system, index) => system.hypotheses[index] === 0 ? first[index] : system.hypotheses[index];
    const reference = text.systems[referenceName], candidate = text.systems[candidateName];
    return text.numbers.map((number, index) => {
      const own = {
        number, source: text.sources[index], references: text.references[index],
        before: said(reference, index), after: said(candidate, index),
        delta: (candidate.scores[index] - reference.scores[index]) / 100,
        score: candidate.scores[index] / 100,
        faultsBefore: reference.faults[index] || [], faults: candidate.faults[index] || [],
        length: words(text.sources[index]).length,
      };
      own.newFaults = own.faults.filter((kind) => !own.faultsBefore.includes(kind));
      own.haystack = plain([own.source, ...own.references, own.before, own.after].join("\n"));
      return own;
    });
  }

  const plain = (text) => text.normalize("NFKC").toLocaleLowerCase();

  const FILTERS = {
    all: () => true,
    different: (one) => one.before !== one.after,
    losses: (one) => one.delta < 0,
    wins: (one) => one.delta > 0,
    ties: (one) => one.delta === 0,
    same: (one) => one.before === one.after,
    "new-faults": (one) => one.newFaults.length > 0,
    faults: (one) => one.faults.length > 0 || one.faultsBefore.length > 0,
  };
  const ORDERS = {
    worst: (a, b) => a.delta - b.delta || a.number - b.number,
    best: (a, b) => b.delta - a.delta || a.number - b.number,
    lowest: (a, b) => a.score - b.score || a.number - b.number,
    longest: (a, b) => b.length - a.length || a.number - b.number,
    text: (a, b) => a.number - b.number,
  };

  const signed = (value) => (value < 0 ? "−" : value > 0 ? "+" : "") + Math.abs(value).toFixed(2);

  function heading(one) {
    const [kind, mark, word] = one.delta < 0 ? ["loss", "▼", "loss"] : one.delta > 0 ? ["win", "▲", "win"]
      : ["tie", "＝", one.before === one.after ? "the same" : "tie"];
    const made = element("h3", {}, `Sentence ${one.number.toLocaleString("en")} `,
      element("span", { class: `tag ${kind}` }, `${mark} ${word}${one.delta ? ` ${signed(one.delta)} chrF` : ""}`));
    for (const fault of one.newFaults) made.append(" ", element("span", { class: "tag loss" }, `new fault: ${fault}`));
    for (const fault of one.faults.filter((kind) => !one.newFaults.includes(kind))) {
      made.append(" ", element("span", { class: "tag tie" }, `fault in both: ${fault}`));
    }
    return made;
  }

  function row(label, nodes, lang, isCode = false) {
    const term = element("dt", {}, isCode ? element("code", {}, label) : label);
    return element("div", {}, term, element("dd", { dir: "auto", lang }, ...nodes));
  }

  function article(one, [, referenceName, candidateName], [from, into], against) {
    const details = element("dl", {}, row("Source", [one.source], from));
    for (const reference of one.references) details.append(row("Reference", [reference], into));
    const others = against === "reference" ? words(one.references[0]) : null;
    const [before, after] = others
      ? [common(words(one.before), others)[0], common(words(one.after), others)[0]]
      : common(words(one.before), words(one.after));
    details.append(row(referenceName, marked(one.before, before, others ? "ins" : "del"), into, true));
    details.append(row(candidateName, marked(one.after, after, "ins"), into, true));
    return element("li", { "data-number": one.number }, heading(one), details);
  }

  function startBrowser() {
    const form = document.getElementById("browser");
    if (!form) return;
    const data = JSON.parse(document.getElementById("sentence-data").textContent);
    const control = (name) => form.elements.namedItem(name);
    const list = document.getElementById("results"), count = document.getElementById("count");
    const more = document.getElementById("more");
    const known = new Map();
    let found = [], shown = 0;

    const pair = () => data.pairs[Number(control("pair").value)];
    const all = () => {
      const key = control("pair").value;
      if (!known.has(key)) known.set(key, sentences(data, pair()));
      return known.get(key);
    };

    function extend() {
      const languages = data.texts[pair()[0]].languages;
      for (const one of found.slice(shown, shown + PAGE)) {
        list.append(article(one, pair(), languages, control("against").value));
      }
      shown = Math.min(shown + PAGE, found.length);
      more.hidden = shown === found.length;
      const sum = (number) => number.toLocaleString("en");
      count.textContent = found.length
        ? `${sum(found.length)} of ${sum(all().length)} sentences match, ${sum(shown)} shown`
        : `None of ${sum(all().length)} sentences match`;
    }

    function update() {
      const wanted = words(plain(control("search").value));
      const [low, high] = control("length").value.split("-").map(Number);
      const passes = FILTERS[control("show").value];
      found = all().filter((one) => passes(one) && one.length >= low && one.length <= high
        && wanted.every((word) => one.haystack.includes(word) || word === `#${one.number}`));
      for (const note of document.querySelectorAll("[data-against]")) {
        note.hidden = note.dataset.against !== control("against").value;
      }
      found.sort(ORDERS[control("order").value]);
      list.replaceChildren();
      shown = 0;
      extend();
    }

    let waiting;
    control("search").addEventListener("input", () => { clearTimeout(waiting); waiting = setTimeout(update, 120); });
    form.addEventListener("change", (event) => { if (event.target !== control("search")) update(); });
    form.addEventListener("reset", () => setTimeout(update));
    form.addEventListener("submit", (event) => { event.preventDefault(); update(); });
    more.addEventListener("click", () => {
      const next = shown;
      extend();
      list.children[next].setAttribute("tabindex", "-1");
      list.children[next].focus();
    });
    update();
  }

  document.addEventListener("DOMContentLoaded", () => {
    startPrinting();
    startBrowser();
  });
})();
