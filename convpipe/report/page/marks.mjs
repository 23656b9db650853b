// What a selection lights up, in which grid. A selection is one of
//   {kind: "output", n, f, at}           a cell of the map or of the product
//   {kind: "pixel", n, c, at, copy}      a padded pixel; `copy` is the output of whose row it is, in the column matrix
//   {kind: "weight", f, c, at}           `c` counts the filter's own channels, `at` is its tap
// A mark's look is "window", "weight", "result" or "feeds", and "chosen" beside it for what was selected itself.
import { columnOf, copiesOf, depthOf, firstChannel, pixelOf, placesWithin, rangeOf, rowOf, shownOutputs, tapsOf, wholeSpans, windowOf } from "./geometry.mjs";

// Lists by grid: padded [n, c, at], filters [f, c, at], feature_map [n, f, at], columns [row, first column, how many],
// matrix [first tap, how many, f] and product [row, f], each with its look at the end; row null means all of them.
const noMarks = () => ({ padded: [], filters: [], feature_map: [], columns: [], matrix: [], product: [] });

// One by one: a call has room for some hundred thousand arguments, and a map may have millions of cells.
function addMarks(list, marks) {
  for (const mark of marks) list.push(mark);
}

function outputMarks(conv, { n, f, at }, marks) {
  const [first, depth, taps, row] = [firstChannel(conv, f), depthOf(conv), tapsOf(conv), rowOf(conv, n, at)];
  for (const c of rangeOf(0, depth)) {
    addMarks(marks.padded, windowOf(conv, at).map((pixel) => [n, first + c, pixel, "window"]));
    addMarks(marks.filters, taps.map((tap) => [f, c, tap, "weight"]));
  }
  marks.feature_map.push([n, f, at, "result chosen"]);
  marks.columns.push([row, first * taps.length, depth * taps.length, "window"]);
  marks.matrix.push([0, depth * taps.length, f, "weight"]);
  marks.product.push([row, f, "result chosen"]);
}

// A filter's own number of a channel; null where that is of another group.
export function depthIn(conv, f, c) {
  const depth = c - firstChannel(conv, f);
  return depth >= 0 && depth < depthOf(conv) ? depth : null;
}

function pixelMarks(conv, { n, c, at, copy }, marks, f) {
  const depth = depthIn(conv, f, c);
  marks.padded.push([n, c, at, "window chosen"]);
  for (const { at: out, tap } of copiesOf(conv, at)) {
    const chosen = copy && String(copy) === String(out) ? " chosen" : "";
    const row = rowOf(conv, n, out);
    marks.columns.push([row, columnOf(conv, c, tap), 1, copy ? `window${chosen}` : "window chosen"]);
    if (depth === null) continue;
    marks.feature_map.push([n, f, out, `feeds${chosen}`]);
    marks.product.push([row, f, `feeds${chosen}`]);
    marks.filters.push([f, depth, tap, `weight${chosen}`]);
    marks.matrix.push([columnOf(conv, depth, tap), 1, f, `weight${chosen}`]);
  }
}

function weightMarks(conv, { f, c, at }, marks, n) {
  const channel = firstChannel(conv, f) + c;
  marks.filters.push([f, c, at, "weight chosen"]);
  marks.matrix.push([columnOf(conv, c, at), 1, f, "weight chosen"]);
  marks.columns.push([null, columnOf(conv, channel, at), 1, "window"]);
  const outputs = conv.box ? shownOutputs(conv) : placesWithin(wholeSpans(conv.out));
  addMarks(marks.padded, outputs.map((out) => [n, channel, pixelOf(conv, out, at), "window"]));
  addMarks(marks.feature_map, outputs.map((out) => [n, f, out, "feeds"]));
  marks.product.push([null, f, "feeds"]);
}

// All marks of a selection while one image and one filter are shown.
export function marksOf(conv, selected, { n, f }) {
  const marks = noMarks();
  if (!selected) return marks;
  if (selected.kind === "output") outputMarks(conv, selected, marks);
  else if (selected.kind === "pixel") pixelMarks(conv, selected, marks, f);
  else weightMarks(conv, selected, marks, n);
  return marks;
}
