// What stands in each grid of the convolution view. A sheet also knows which selection a cell is, and which of its cells
// marks of marks.mjs light up: {select(r, c), places(marks)}.
import { valueAt } from "./data.mjs";
import { columnPlace, countOf, depthOf, flatOf, imageLetters, isPadding, pixelOf, placeIn, rowOf, shownOutputs, tapLetters, wholeSpans } from "./geometry.mjs";

const never = () => false;
const comma = (place) => place.join(",");

// A value's text by its array's digits, and the length of the longest.
const value = (digits, array, indices) => digits.text(valueAt(array, indices));

// A plane of an image, a kernel or a map: the last axes are its rows and columns, those before are fixed by `plane`.
function planeSheet({ spans, plane, letters, cellText, padding, digits, bracketed, select }) {
  const flat = spans.length - plane.length === 1;
  const [rows, columns] = flat ? [[0, 1], spans.at(-1)] : spans.slice(-2);
  const placeAt = (r, c) => [...plane, ...(flat ? [] : [rows[0] + r]), columns[0] + c];
  return {
    plane: plane[0],
    follows: true,
    rows: rows[1] - rows[0],
    columns: columns[1] - columns[0],
    text: (r, c) => cellText(placeAt(r, c)),
    padding: (r, c) => padding(placeAt(r, c)),
    characters: digits.characters,
    bracketed,
    rowHeads: flat ? [] : [(r) => String(rows[0] + r)],
    columnHeads: [{ text: (c) => String(columns[0] + c), span: 1 }],
    corner: letters.slice(-2).join("\\"),
    headCharacters: [String(rows[1]).length],
    thickAfterRow: never,
    thickAfterColumn: never,
    select: (r, c) => select(placeAt(r, c)),
    placeOf: (place) => (plane.every((index, axis) => place[axis] === index) ? [flat ? 0 : place.at(-2) - rows[0], place.at(-1) - columns[0]] : null),
  };
}

// The planes that an image of three axes is cut into; one of others.
const planesOf = (spans) => (spans.length < 3 ? [[]] : Array.from({ length: spans[0][1] - spans[0][0] }, (_, index) => [spans[0][0] + index]));

const spansOf = (array, axes) => axes.map((axis) => [array.origin[axis], array.origin[axis] + array.shape[axis]]);

const within = (place, sheet) => place && place[0] >= 0 && place[1] >= 0 && place[0] < sheet.rows && place[1] < sheet.columns;

// Marks on single cells of a plane, as rectangles.
function planeMarks(sheet, found) {
  return found.map(([place, look]) => [sheet.placeOf(place), look]).filter(([at]) => within(at, sheet)).map(([[r, c], look]) => [r, c, 1, 1, look]);
}

export function paddedSheets(view, c) {
  const { conv, arrays, digits } = view;
  const spans = spansOf(arrays.padded, conv.kernel.map((_, axis) => axis + 2));
  const bracketed = conv.pads.flat().some(Boolean);
  return planesOf(spans).map((plane) => {
    const sheet = planeSheet({
      spans, plane, bracketed, digits: digits.padded, letters: imageLetters(conv),
      cellText: (at) => bracket(conv, at, value(digits.padded, arrays.padded, [view.n, c, ...at])),
      padding: (at) => isPadding(conv, at),
      select: (at) => ({ kind: "pixel", n: view.n, c, at }),
    });
    sheet.places = (marks) => planeMarks(sheet, marks.padded.filter(([n, channel]) => n === view.n && channel === c).map(([, , at, look]) => [at, look]));
    return sheet;
  });
}

const bracket = (conv, at, text) => (isPadding(conv, at) ? `(${text})` : text);

export function filterSheets(view, c) {
  const { conv, arrays, digits } = view;
  const spans = wholeSpans(conv.kernel);
  return planesOf(spans).map((plane) => {
    const sheet = planeSheet({
      spans, plane, digits: digits.filters, letters: tapLetters(conv), padding: never,
      cellText: (tap) => value(digits.filters, arrays.filters, [view.f, c, ...tap]),
      select: (tap) => ({ kind: "weight", f: view.f, c, tap }),
    });
    sheet.places = (marks) => planeMarks(sheet, marks.filter.filter(([f, depth]) => f === view.f && depth === c).map(([, , tap, look]) => [tap, look]));
    return sheet;
  });
}

export function mapSheets(view) {
  const { conv, arrays, digits } = view;
  return planesOf(conv.box.out).map((plane) => {
    const sheet = planeSheet({
      spans: conv.box.out, plane, digits: digits.feature_map, letters: imageLetters(conv), padding: never,
      cellText: (at) => value(digits.feature_map, arrays.feature_map, [view.n, ...at, view.f]),
      select: (at) => ({ kind: "output", n: view.n, f: view.f, at }),
    });
    sheet.places = (marks) => planeMarks(sheet, marks.map.filter(([n, f]) => n === view.n && f === view.f).map(([, , at, look]) => [at, look]));
    return sheet;
  });
}

// The rows of the product scheme: an output each, of all images that the page has.
export function rowsOf(conv) {
  const outs = shownOutputs(conv);
  const [first, last] = conv.box.n;
  const places = [];
  for (let n = first; n < last; n++) for (const at of outs) places.push({ n, at, row: rowOf(conv, n, at) });
  const sizes = conv.box.out.map(([start, stop]) => stop - start);
  const indexOf = (row) => {
    const [n, ...at] = placeIn(row, [conv.batch, ...conv.out]);
    return flatOf([n - first, ...at.map((index, axis) => index - conv.box.out[axis][0])], [last - first, ...sizes]);
  };
  return { places, indexOf, size: outs.length };
}

const rowHeadsOf = (rows) => [(r) => String(rows.places[r].row), (r) => comma([rows.places[r].n, ...rows.places[r].at])];
const rowWords = (conv) => comma(["n", ...imageLetters(conv)]);

function rowWidths(rows) {
  const last = rows.places.at(-1);
  return [String(last.row).length, comma([last.n, ...last.at]).length];
}

export function columnsSheet(view) {
  const { conv, arrays, digits, rows } = view;
  const taps = countOf(conv.kernel);
  const at = (r, k) => {
    const { c, tap } = columnPlace(conv, k);
    return { c, tap, n: rows.places[r].n, out: rows.places[r].at, pixel: pixelOf(conv, rows.places[r].at, tap) };
  };
  return {
    rows: rows.places.length,
    columns: conv.channels * taps,
    text(r, k) {
      const { n, c, pixel } = at(r, k);
      return bracket(conv, pixel, value(digits.padded, arrays.padded, [n, c, ...pixel]));
    },
    padding: (r, k) => isPadding(conv, at(r, k).pixel),
    characters: Math.max(digits.padded.characters, 2 * conv.kernel.length - 1),
    bracketed: conv.pads.flat().some(Boolean),
    rowHeads: rowHeadsOf(rows),
    levels: ["c", comma(tapLetters(conv))],
    columnHeads: [
      { text: (k) => `c=${columnPlace(conv, k).c}`, span: taps },
      { text: (k) => comma(columnPlace(conv, k).tap), span: 1 },
      { text: (k) => String(k), span: 1 },
    ],
    corner: `r  ${rowWords(conv)}\\k`,
    headCharacters: rowWidths(rows),
    thickAfterRow: (r) => (r + 1) % rows.size === 0,
    thickAfterColumn: (k) => (k + 1) % taps === 0,
    select(r, k) {
      const { n, c, tap, out, pixel } = at(r, k);
      return { kind: "pixel", n, c, at: pixel, copy: { at: out, tap } };
    },
    places: (marks) => marks.columns.flatMap(([row, k, count, look]) => rowMarks(rows, row).map(([r, high]) => [r, k, high, count, look])),
  };
}

// Where a row of the whole product stands in the grid: nowhere where the page does not have it.
function rowMarks(rows, row) {
  if (row === null) return [[0, rows.places.length]];
  const index = rows.indexOf(row);
  const place = rows.places[index];
  return place && place.row === row ? [[index, 1]] : [];
}

// The filter matrix, transposed: a row for each tap, a column for each filter.
export function matrixSheet(view) {
  const { conv, arrays, digits } = view;
  const taps = countOf(conv.kernel);
  const [first, last] = conv.box.f;
  const deepest = comma([depthOf(conv) - 1, ...conv.kernel.map((size) => size - 1)]);
  return {
    rows: depthOf(conv) * taps,
    columns: last - first,
    text(k, f) {
      const { c, tap } = columnPlace(conv, k);
      return value(digits.filters, arrays.filters, [first + f, c, ...tap]);
    },
    padding: never,
    characters: filterWidth(view),
    rowHeads: [(k) => String(k), (k) => comma(flatPlace(conv, k))],
    columnHeads: filterHeads(first),
    corner: `k  ${comma(["c", ...tapLetters(conv)])}\\f`,
    headCharacters: widest([String(depthOf(conv) * taps - 1).length, deepest.length], rowWidths(view.rows)),
    thickAfterRow: (k) => (k + 1) % taps === 0,
    thickAfterColumn: (f) => isLastOfGroup(conv, first + f),
    select: (k, f) => ({ kind: "weight", f: first + f, ...columnPlace(conv, k) }),
    places: (marks) => marks.matrix.filter(([, , f]) => f >= first && f < last).map(([k, count, f, look]) => [k, f - first, count, 1, look]),
  };
}

const flatPlace = (conv, k) => [columnPlace(conv, k).c, ...columnPlace(conv, k).tap];
const widest = (one, other) => one.map((size, index) => Math.max(size, other[index]));
const filterHeads = (first) => [{ text: (f) => String(first + f), span: 1 }];
const filterWidth = ({ digits }) => Math.max(digits.filters.characters, digits.product ? digits.product.characters : 1);
const isLastOfGroup = (conv, f) => conv.groups > 1 && (f + 1) % (conv.filters / conv.groups) === 0;

// The product: row r of the columns with column f of the transposed filter matrix.
export function productSheet(view) {
  const { conv, arrays, digits, rows } = view;
  const [first, last] = conv.box.f;
  return {
    rows: rows.places.length,
    columns: last - first,
    text: (r, f) => value(digits.product, arrays.product, [rows.places[r].n, ...rows.places[r].at, first + f]),
    padding: never,
    characters: filterWidth(view),
    rowHeads: rowHeadsOf(rows),
    columnHeads: filterHeads(first),
    tall: 3,
    corner: `r  ${rowWords(conv)}\\f`,
    headCharacters: matrixSheet(view).headCharacters,
    thickAfterRow: (r) => (r + 1) % rows.size === 0,
    thickAfterColumn: (f) => isLastOfGroup(conv, first + f),
    select: (r, f) => ({ kind: "output", n: rows.places[r].n, f: first + f, at: rows.places[r].at }),
    places: (marks) => marks.product.filter(([, f]) => f >= first && f < last).flatMap(([row, f, look]) => rowMarks(rows, row).map(([r, high]) => [r, f - first, high, 1, look])),
  };
}
