// How a cell came about, in words: what the formula of its operation says, and which cells that reads.
import { readsOf, textOf } from "./forms.mjs";
import { placeOf } from "./data.mjs";
import { short } from "./numbers.mjs";

// A number of an array as its dtype has it: whole numbers of integer dtypes as BigInt, so that they stay exact.
export function exactAt(array, indices) {
  const place = array.thumb ? -1 : placeOf(array, indices);
  if (place < 0) return undefined;
  const value = array.values[place];
  return typeof value === "number" && /int/.test(array.dtype) ? BigInt(value) : value;
}

export const cellName = (name, indices) => `${name}[${indices.join(",")}]`;

// The text of a cell: its name, the formula with its numbers, and what is stored; null where the page lacks one of them.
export function cellStory(node, indices, arrayOfName) {
  const stored = exactAt(arrayOfName(node.array), indices);
  if (stored === undefined) return null;
  const end = short(stored);
  if (!node.form) return { name: cellName(node.name, indices), formula: null, stored: end };
  const there = (input, at) => {
    const array = arrayOfName(node.reads[input]);
    const value = array ? exactAt(array, at) : undefined;
    if (value === undefined) throw new RangeError(String(node.reads[input]));
    return value;
  };
  try {
    const formula = textOf(node.form, indices, there, (input) => node.reads[input]);
    return { name: cellName(node.name, indices), formula, stored: end };
  } catch (error) {
    if (!(error instanceof RangeError)) throw error;
    return { name: cellName(node.name, indices), formula: null, missing: error.message, stored: end };
  }
}

// The cells that a cell reads, by array: [{array, cells}], each once.
export function cellReads(node, indices) {
  if (!node.form) return [];
  const found = new Map();
  for (const read of readsOf(node.form, indices)) {
    const array = node.reads[read.input];
    found.set(array, [...(found.get(array) || []), ...read.cells.filter(Boolean)]);
  }
  return [...found].map(([array, cells]) => ({ array, cells }));
}
