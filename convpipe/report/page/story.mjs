// How a cell came about: what the formula of its operation says, and which cells that reads.
import { blockedSum, inEnglish, partsOfSum, sumOfBlocks } from "./blocks.mjs";
import { placeOf } from "./data.mjs";
import { readsOf, stepsOf, textOf } from "./forms.mjs";
import { short } from "./numbers.mjs";

// A number of an array as its dtype has it: whole numbers of integer dtypes as BigInt, so that they stay exact.
export function exactAt(array, indices) {
  const place = array.thumb ? -1 : placeOf(array, indices);
  if (place < 0) return undefined;
  const value = array.values[place];
  return typeof value === "number" && array.dtype.includes("int") ? BigInt(value) : value;
}

export const cellName = (name, indices) => `${name}[${indices.join(",")}]`;

// An operand that the page does not have.
class Missing extends Error {}

// The formula of a form with its numbers, and, of a sum in blocks, its parts; or the name of an array that is missing.
function formulaOf({ form, reads }, indices, arrayOfName, tell) {
  const there = (input, at) => {
    const array = arrayOfName(reads[input]);
    const value = array ? exactAt(array, at) : undefined;
    if (value === undefined) throw new Missing(reads[input]);
    return value;
  };
  try {
    if (!form.blocks) {
      const steps = form.steps ? { steps: stepsOf(form, indices, there) } : {};
      return { formula: textOf(form, indices, there, (input) => reads[input]), ...steps };
    }
    const sum = blockedSum(form, indices, there);
    return { formula: sumOfBlocks(sum, tell), parts: partsOfSum(sum, tell) };
  } catch (error) {
    if (error instanceof Missing) return { missing: error.message };
    throw error;
  }
}

// The indices of a cell of a sum as its form has them.
export const formIndices = (sum, indices) => (sum.order ? sum.order.map((axis) => indices[axis]) : indices);

// A cell's stories: {name, formula, steps, parts, missing, stored}, of its own operation, and of the sum that several stages
// are together; null where the page does not have the cell.
export function cellStories(node, indices, arrayOfName, tell = inEnglish) {
  const stored = exactAt(arrayOfName(node.array), indices);
  if (stored === undefined) return null;
  if (node.trail) return storiesOfTrail(node.trail, indices, arrayOfName, tell);
  const end = { name: cellName(node.name, indices), stored: short(stored) };
  const own = node.form ? [{ ...end, ...formulaOf(node, indices, arrayOfName, tell) }] : [];
  const whole = node.whole ? [{ ...end, whole: node.whole.op, ...formulaOf(node.whole, formIndices(node.whole, indices), arrayOfName, tell) }] : [];
  return own.length || whole.length ? [...own, ...whole] : [end];
}

// The stories of stages that are told one by one: that of the last first, as it is the cell's.
function storiesOfTrail(trail, indices, arrayOfName, tell) {
  const told = [];
  let at = indices;
  for (const stage of [...trail].reverse()) {
    const stored = exactAt(arrayOfName(stage.name), at);
    if (stored === undefined) break;
    told.unshift({ name: cellName(stage.name, at), stored: short(stored), ...formulaOf(stage, at, arrayOfName, tell) });
    at = readsOf(stage.form, at).find(({ input }) => input === 0).cells[0];
  }
  return [told.at(-1), ...told.slice(0, -1)];
}

// Cells of a padded image as those of the image itself, without its padding.
function unpadded(whole, array, cells) {
  if (!whole || !whole.padded || whole.padded.array !== array) return { array, cells };
  const { of, before, sizes } = whole.padded;
  const moved = cells.map((cell) => cell.map((index, axis) => index - before[axis]));
  return { array: of, cells: moved.filter((cell) => cell.every((index, axis) => index >= 0 && index < sizes[axis])) };
}

// The cells that a cell reads, by array: [{array, cells}].
export function cellReads(node, indices) {
  const found = new Map();
  const both = [[node, indices], ...(node.whole ? [[node.whole, formIndices(node.whole, indices)]] : [])];
  for (const [{ form, reads }, place] of both) {
    for (const read of form ? readsOf(form, place) : []) {
      const { array, cells } = unpadded(node.whole, reads[read.input], read.cells.filter(Boolean));
      found.set(array, [...(found.get(array) || []), ...cells]);
    }
  }
  return [...found].map(([array, cells]) => ({ array, cells }));
}
