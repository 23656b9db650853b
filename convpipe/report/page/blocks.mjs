// A long sum told block by block, as report/sum_cell.py does: which inputs met which weights, and what that came to.
// `tell(key, values)` says its few words in another language than explain's.
import { preciseSum, readsOf } from "./forms.mjs";
import { short } from "./numbers.mjs";

const WIDEST_ROW = 12;
const USUAL_ROW = 8;
const MOST_BLOCK_ROWS = 32;
const MOST_BLOCKS = 16;
const MOST_MET = 16;

// The words of explain, whose lines these are.
export const EXPLAINED = {
  blockMet: "in each {of}, {x} met {w}: {places}", blockWith: "{x} with {w}", blockMore: "{count} more",
  blockSum: "sum: {sum}", blockCut: " (of {count} the first {shown})", blockBias: "{bias} (bias)",
  blockOthers: "{sum} (the other {of}s)", blockNothing: "nothing", blocksMore: "and {count} more {of}s, {first} to {last}",
};

export const inEnglish = (key, values = {}) =>
  (EXPLAINED[key] ?? key.replace("block:", "")).replace(/\{(\w+)\}/g, (whole, name) => (name in values ? values[name] : whole));

const wholeNumbers = (values) => values.every((value) => typeof value === "bigint");
const multiplied = (values) => values.reduce((all, value) => (wholeNumbers([all, value]) ? all * value : Number(all) * Number(value)), 1n);

function factorsRead(read, valueAt) {
  return read.cells.map((place, at) => ({ place, padding: read.padding[at], value: place ? valueAt(read.input, place) : 0n }));
}

// The blocks of a form that is a sum of products, or of cells: {words, blocks: [{number, factors, total}], bias}.
export function blockedSum(form, indices, valueAt) {
  const reads = Object.fromEntries(readsOf(form, indices).map((read) => [read.name, read]));
  const columns = ["x", "w"].filter((name) => reads[name]).map((name) => factorsRead(reads[name], valueAt));
  const pairs = columns[0].map((_, at) => columns.map((column) => column[at]));
  const places = form.reads.find((read) => read.name === "x").places;
  const axis = places.findIndex(([, terms]) => terms.some(([variable]) => variable >= form.rank));
  const bias = reads.bias ? factorsRead(reads.bias, valueAt)[0].value : null;
  const blocks = [];
  for (const pair of pairs) {
    const number = form.blocks[0] ? (pair[0].place || [])[axis] : 0;
    if (!blocks.length || blocks[blocks.length - 1].number !== number) blocks.push({ number, factors: [] });
    blocks[blocks.length - 1].factors.push(pair);
  }
  for (const block of blocks) {
    block.products = block.factors.map((pair) => multiplied(pair.map((factor) => factor.value)));
    block.total = preciseSum(block.products);
  }
  return { words: form.blocks, blocks, bias };
}

// The sums of the blocks, and the bias.
export function sumOfBlocks({ words, blocks, bias }, tell = inEnglish) {
  const parts = blocks.slice(0, MOST_BLOCKS).map((block) => short(block.total));
  const rest = blocks.slice(MOST_BLOCKS);
  if (rest.length) parts.push(tell("blockOthers", { sum: short(preciseSum(rest.map((block) => block.total))), of: tell(`block:${words[0]}`) }));
  if (bias !== null) parts.push(tell("blockBias", { bias: short(bias) }));
  return parts.join(" + ") || tell("blockNothing");
}

function rowWidth(factors) {
  const places = factors.map((pair) => pair[pair.length - 1].place);
  const first = places[0] || [];
  const start = (place) => place.slice(0, -1).join();
  const width = places.filter((place) => place && start(place) === start(first)).length;
  return first.length > 2 && width <= WIDEST_ROW && places.length % width === 0 ? width : USUAL_ROW;
}

function textRows(texts, width) {
  const filled = [...texts, ...Array((width - (texts.length % width)) % width).fill("")];
  return Array.from({ length: filled.length / width }, (_, row) => filled.slice(row * width, (row + 1) * width));
}

// Columns of rows of texts side by side, aligned to the right.
function sideBySide(columns) {
  const widths = columns.map((rows) => Math.max(...rows.flat().map((text) => text.length)));
  return columns[0].map((_, row) =>
    columns.map((rows, at) => rows[row].map((text) => text.padStart(widths[at])).join(" ")).join(" | ").trimEnd());
}

const factorText = (factor) => (factor.padding ? `(${short(factor.value)})` : short(factor.value));

function linesOfBlock({ number, factors, products, total }, [of, ...names], tell) {
  const width = rowWidth(factors), shown = factors.slice(0, MOST_BLOCK_ROWS * width);
  const sums = products.slice(0, shown.length).map((product, at) => short(product) + (at + 1 < shown.length ? " +" : "  "));
  const columns = names.length > 1 ? [...names.map((_, at) => shown.map((pair) => factorText(pair[at]))), sums] : [sums];
  const cut = factors.length > shown.length ? tell("blockCut", { count: factors.length, shown: shown.length }) : "";
  const title = [...names, ...(names.length > 1 ? [names.join(" * ")] : [])].join(" | ") + cut;
  const rows = sideBySide(columns.map((texts) => textRows(texts, width)));
  return ["", of ? `${of} ${number}: ${title}` : title, ...rows.map((row) => `  ${row}`), `  ${tell("blockSum", { sum: short(total) })}`];
}

function lineOfPlaces({ words: [of, x, w], blocks }, tell) {
  if (!blocks.length || !of || !w) return [];
  const text = (place) => `(${place.slice(2).join(",")})`;
  const met = blocks[0].factors.slice(0, MOST_MET).map((pair) => pair.filter(({ place }) => place).map(({ place }) => text(place)));
  const texts = met.map((places) => (places.length > 1 ? tell("blockWith", { x: places[0], w: places[1] }) : places.join()));
  const rest = blocks[0].factors.length - met.length;
  const places = [...texts, ...(rest > 0 ? [tell("blockMore", { count: rest })] : [])].join(", ");
  return [tell("blockMet", { of, x, w, places })];
}

// All of it as lines, those of each block together: which places met, the blocks, and how many more there are.
export function partsOfSum(sum, tell = inEnglish) {
  const words = sum.words.map((each) => each && tell(`block:${each}`)), told = { ...sum, words };
  const rest = sum.blocks.slice(MOST_BLOCKS);
  const values = rest.length ? { count: rest.length, of: words[0], first: rest[0].number, last: rest[rest.length - 1].number } : {};
  return {
    places: lineOfPlaces(told, tell),
    blocks: sum.blocks.slice(0, MOST_BLOCKS).map((block) => linesOfBlock(block, words, tell)),
    more: rest.length ? ["", tell("blocksMore", values)] : [],
  };
}
