// The columns of a table, as convpipe/report/page/columnar.py packs them: texts, values, order, CSV.
import { parsed } from "./grammar.mjs";
import { compareTexts, isNumeric, missing, orderedValues } from "./python.mjs";

const NUMBER_CELL = /^-?(?:0|[1-9]\d{0,309})(?:\.\d{1,100})?(?:e[+-]\d{1,3})?$/;
const LARGEST_FLOAT = BigInt(Number.MAX_VALUE);
const UNITS = { seconds: "s", accuracy: "0–1" };
const TRUTHS = { True: true, False: false };
// The ends of an output are numbers, and these words among them.
const ENDS = ["min", "max"];
const ODD = { nan: missing, inf: Infinity, "-inf": -Infinity };

function numberIn(text) {
  if (/[.en]/.test(text)) return Math.abs(Number(text)) <= Number.MAX_VALUE ? Number(text) : text;
  const whole = BigInt(text);
  return whole <= LARGEST_FLOAT && -whole <= LARGEST_FLOAT ? whole : text;
}

// What a list says, or a text in one; undefined of a tree that is neither.
function literal(node) {
  if (node.kind === "constant") return node.value === null ? undefined : node.value;
  if (node.kind === "unary" && node.sign !== "not" && node.part.kind === "constant") {
    const { value } = node.part;
    if (typeof value !== "bigint" && typeof value !== "number") return undefined;
    return node.sign === "-" ? -value : value;
  }
  if (node.kind !== "list" || node.isTuple) return undefined;
  const items = node.parts.map(literal);
  return items.includes(undefined) ? undefined : items;
}

function isFinitePlain(value) {
  if (Array.isArray(value)) return value.every(isFinitePlain);
  if (typeof value === "bigint") return value <= LARGEST_FLOAT && -value <= LARGEST_FLOAT;
  return typeof value !== "number" || Number.isFinite(value);
}

// A cell as a text: without the mark that keeps it from being taken for something else.
function unmarked(text) {
  return text.startsWith("'") ? text.slice(1) : text;
}

// A cell's value: a number, a truth, a text or a list of such.
export function plainValue(text) {
  if (Object.hasOwn(TRUTHS, text)) return TRUTHS[text];
  if (NUMBER_CELL.test(text)) return numberIn(text);
  if (text[0] !== "[") return unmarked(text);
  try {
    const value = literal(parsed(text));
    return value !== undefined && isFinitePlain(value) ? value : text;
  } catch (error) {
    if (!error.mistake && !(error instanceof RangeError)) throw error;
    return text;
  }
}

function hexTexts(bytes, digits) {
  const size = digits / 2;
  const pairs = Array.from({ length: 256 }, (_, byte) => byte.toString(16).padStart(2, "0"));
  const texts = [];
  for (let at = 0; at < bytes.length; at += size) {
    let text = "";
    for (let place = at; place < at + size; place++) text += pairs[bytes[place]];
    texts.push(text);
  }
  return texts;
}

// A column: `texts` without gaps, `place(row)` among them; a gap's place is behind the last.
export function columnFrom(facts, rows, places, hex, isText) {
  const texts = hex ? hexTexts(hex, facts.hex) : facts.texts;
  const place = places ? (row) => places[row] : facts.count === rows ? (row) => row : () => 0;
  const read = (text) => (isText ? unmarked(text) || missing : ENDS.includes(facts.name) && text in ODD ? ODD[text] : plainValue(text));
  const shown = texts.map(unmarked);
  const values = [...texts.map(read), missing];
  return {
    name: facts.name, rows, texts: shown, values, place, gaps: facts.gaps, count: texts.length,
    text: (row) => shown[place(row)] || "",
    cell: (row) => texts[place(row)] || "",
    value: (row) => values[place(row)],
  };
}

// Columns by name, decoded.
export async function readColumns(app) {
  const { rows, texts } = app.facts;
  const bytes = (await app.array("columns")).values;
  const all = JSON.parse(new TextDecoder().decode(bytes));
  const read = async (name) => {
    const array = await app.array(name);
    return array && array.values;
  };
  const columns = await Promise.all(
    all.map(async (facts, at) =>
      columnFrom(facts, rows, await read(`places-${at}`), await read(`hex-${at}`), texts.includes(facts.name)),
    ),
  );
  return new Map(columns.map((column) => [column.name, column]));
}

// A column's name, with the unit of what is measured, and whatever else is to be said of it.
export function nameWithUnit(name, ...more) {
  const told = [Object.hasOwn(UNITS, name) && UNITS[name], ...more].filter(Boolean);
  return told.length ? `${name} (${told.join(", ")})` : name;
}

function kindRank(value) {
  if (Array.isArray(value)) return 2;
  return isNumeric(value) ? 0 : 1;
}

// What comes first: numbers before texts before lists, as `runs --sort` has it.
export function compareValues(first, second) {
  const [a, b] = [kindRank(first), kindRank(second)];
  if (a !== b) return a - b;
  if (a === 1) return compareTexts(first, second);
  if (a === 0) return orderedValues("<", first, second) ? -1 : orderedValues(">", first, second) ? 1 : 0;
  for (let at = 0; at < Math.min(first.length, second.length); at++) {
    const order = compareValues(first[at], second[at]);
    if (order) return order;
  }
  return first.length - second.length;
}

const RANKS = new WeakMap();

// The rank of each text of a column; equal values have the same. A gap comes last.
export function ranksOf(column) {
  if (RANKS.has(column)) return RANKS.get(column);
  const { values, count } = column;
  const there = Array.from({ length: count }, (_, at) => at).filter((at) => values[at] !== missing);
  const order = Uint32Array.from(there).sort((a, b) => compareValues(values[a], values[b]));
  const ranks = new Float64Array(count + 1).fill(count);
  order.forEach((at, place) => {
    const before = order[place - 1];
    ranks[at] = place && !compareValues(values[before], values[at]) ? ranks[before] : place;
  });
  RANKS.set(column, ranks);
  return ranks;
}

// All rows in the order of a column, or downwards; rows that are equal stay as they were, gaps are last either way.
export function sortedRows(column, down) {
  const ranks = ranksOf(column);
  const { rows, count, place } = column;
  const keys = new Float64Array(rows);
  for (let row = 0; row < rows; row++) {
    const rank = ranks[place(row)];
    keys[row] = (down && rank < count ? count - 1 - rank : rank) * rows + row;
  }
  return Uint32Array.from(keys.sort(), (key) => key % rows);
}

// What a spreadsheet might work out, blanks and what is not seen passed over; and numbers that only look so.
const FORMULA = /^[\t\r\n]|^[\s\p{C}\p{Z}]*[=+\-@\uff1d\uff0b\uff0d\uff20]/u;
const OWN_NUMBER = /^-?(?:(?:0|[1-9]\d{0,309})(?:\.\d{1,100})?(?:e[+-]\d{1,3})?|inf|nan)$/;

// Rows as CSV, as convpipe writes them: a cell that might be a formula has a mark.
export function csvOf(columns, rows) {
  const line = (cells) => {
    const returns = cells.some((cell) => cell.includes("\r"));
    return `${cells.map((cell) => csvCell(cell, returns)).join(",")}\n`;
  };
  const names = columns.map(({ name }) => (name.startsWith("'") || FORMULA.test(name) ? `'${name}` : name));
  const bare = (cells) => (cells.length === 1 && cells[0] === "" ? '""\n' : line(cells));
  return bare(names) + Array.from(rows, (row) => bare(columns.map((column) => column.cell(row)))).join("");
}

function csvCell(cell, quoted) {
  const text = FORMULA.test(cell) && !OWN_NUMBER.test(cell) ? `'${cell}` : cell;
  return quoted || /[",\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
}
