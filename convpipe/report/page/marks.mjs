// What a selection lights up, in which grid. A selection is one of
//   {kind: "output", n, f, at}           a cell of the map or of the product
//   {kind: "pixel", n, c, at, copy}      a padded pixel; `copy` {at, tap} where it is one entry of the column matrix
//   {kind: "weight", f, c, tap}          `c` counts the filter's own channels
// A mark's look is "window", "weight", "result", "feeds" or "chosen", which is what was selected itself.
import { columnOf, copiesOf, depthOf, firstChannel, pixelsUnder, rowOf, tapsOf, windowOf } from "./geometry.mjs";

// Lists by grid: padded [n, c, at], filter [f, c, tap], map [n, f, at], columns [row, first column, how many],
// matrix [first tap, how many, f] and product [row, f], each with its look at the end; row null means all of them.
const noMarks = () => ({ padded: [], filter: [], map: [], columns: [], matrix: [], product: [] });

export const depths = (conv) => Array.from({ length: depthOf(conv) }, (_, depth) => depth);

export const matrixRow = (conv, c, tap) => columnOf(conv, c, tap);

function outputMarks(conv, { n, f, at }) {
  const marks = noMarks();
  const first = firstChannel(conv, f);
  const pixels = windowOf(conv, at);
  const taps = tapsOf(conv);
  const row = rowOf(conv, n, at);
  for (const depth of depths(conv)) {
    marks.padded.push(...pixels.map((pixel) => [n, first + depth, pixel, "window"]));
    marks.filter.push(...taps.map((tap) => [f, depth, tap, "weight"]));
  }
  const count = depthOf(conv) * taps.length;
  marks.map.push([n, f, at, "result chosen"]);
  marks.columns.push([row, first * taps.length, count, "window"]);
  marks.matrix.push([0, count, f, "weight"]);
  marks.product.push([row, f, "result chosen"]);
  return marks;
}

// The filter's own number of a channel; none where it is of another group.
export function depthIn(conv, f, c) {
  const depth = c - firstChannel(conv, f);
  return depth >= 0 && depth < depthOf(conv) ? depth : null;
}

function pixelMarks(conv, { n, c, at, copy }, f) {
  const marks = noMarks();
  const depth = depthIn(conv, f, c);
  const same = (one, other) => copy && String(one) === String(other);
  marks.padded.push([n, c, at, "window chosen"]);
  for (const each of copiesOf(conv, at)) {
    const chosen = same(each.at, copy && copy.at) ? " chosen" : "";
    const row = rowOf(conv, n, each.at);
    marks.columns.push([row, columnOf(conv, c, each.tap), 1, `window${chosen || (copy ? "" : " chosen")}`]);
    if (depth === null) continue;
    marks.map.push([n, f, each.at, `feeds${chosen}`]);
    marks.product.push([row, f, `feeds${chosen}`]);
    marks.filter.push([f, depth, each.tap, `weight${chosen}`]);
    marks.matrix.push([matrixRow(conv, depth, each.tap), 1, f, `weight${chosen}`]);
  }
  return marks;
}

function weightMarks(conv, { f, c, tap }, n) {
  const marks = noMarks();
  const channel = firstChannel(conv, f) + c;
  marks.filter.push([f, c, tap, "weight chosen"]);
  marks.matrix.push([matrixRow(conv, c, tap), 1, f, "weight chosen"]);
  marks.columns.push([null, columnOf(conv, channel, tap), 1, "window"]);
  marks.padded.push(...pixelsUnder(conv, tap).map((pixel) => [n, channel, pixel, "window"]));
  return marks;
}

// All marks of a selection while one image and one filter are shown.
export function marksOf(conv, selected, { n, f }) {
  if (!selected) return noMarks();
  if (selected.kind === "output") return outputMarks(conv, selected);
  if (selected.kind === "pixel") return pixelMarks(conv, selected, f);
  return weightMarks(conv, selected, n);
}
