// What stands in each grid of the convolution view, as grid.mjs draws it. A sheet also knows which selection a cell is
// (`select`), and which of its cells the marks of marks.mjs light up (`places`).
import { valueAt } from "./data.mjs";
import { columnPlace, countOf, depthOf, flatOf, imageLetters, inOrder, innerOf, isPadded, isPadding, pixelOf, placeIn, rangeOf, rowOf, shownOutputs, sizesOf, tapLetters, wholeSpans } from "./geometry.mjs";

const never = () => false;
const comma = (place) => place.join(",");
const numbered = (start) => (index) => String(start + index);
const plain = { padding: never, ruleBelow: never, ruleAfter: never, heads: [], widths: [], follows: [] };

const reader = ({ digits, arrays }, part) => (...indices) => digits[part].text(valueAt(arrays[part], indices));

const bracket = (conv, at, text) => (isPadding(conv, at) ? `(${text})` : text);

// Planes

// What the grids of a padded channel, of a filter's channel and of a map are made of: the array, the marks, which two
// indices come before a place, and the spans of their axes.
const VOLUMES = {
  padded: (view, c) => ({ kind: "pixel", own: () => ({ n: view.n, c }), spans: spansOf(view.arrays.padded), letters: imageLetters }),
  filters: (view, c) => ({ kind: "weight", own: () => ({ f: view.f, c }), spans: wholeSpans(view.conv.kernel), letters: tapLetters }),
  feature_map: (view) => ({ kind: "output", own: () => ({ n: view.n, f: view.f }), spans: view.conv.box.out, letters: (conv) => conv.outLetters, channelLast: true }),
};

const spansOf = ({ origin, shape }) => shape.slice(2).map((size, axis) => [origin[axis + 2], origin[axis + 2] + size]);

// The sheets of a volume: one, or of three axes one for each plane.
export function volumeSheets(view, part, c) {
  const volume = VOLUMES[part](view, c);
  const planes = volume.spans.length < 3 ? [[]] : rangeOf(...volume.spans[0]).map((index) => [index]);
  return planes.map((plane) => planeSheet(view, part, volume, plane));
}

function planeSheet(view, part, { kind, own, spans, letters, channelLast }, plane) {
  const { conv } = view;
  const [[top, bottom], [left, right]] = spans.length > 1 ? spans.slice(-2) : [[0, 1], spans[0]];
  const placeAt = (r, c) => [...plane, top + r, left + c].slice(-spans.length);
  const read = reader(view, part);
  const isPad = kind === "pixel" ? (at) => isPadding(conv, at) : never;
  return {
    ...plain,
    follows: Object.keys(own()),
    plane: plane.length ? `${letters(conv)[0]}=${plane[0]}` : "",
    rows: bottom - top,
    columns: right - left,
    characters: view.digits[part].characters,
    bracketed: kind === "pixel" && isPadded(conv),
    heads: spans.length > 1 ? [numbered(top)] : [],
    widths: [String(bottom).length],
    columnHeads: [{ text: numbered(left), span: 1 }],
    corner: letters(conv).slice(-2).join("\\"),
    text(r, c) {
      const [at, [first, second]] = [placeAt(r, c), Object.values(own())];
      const text = channelLast ? read(first, ...at, second) : read(first, second, ...at);
      return isPad(at) ? `(${text})` : text;
    },
    padding: (r, c) => isPad(placeAt(r, c)),
    select: (r, c) => ({ kind, ...own(), at: placeAt(r, c) }),
    places(marks) {
      const here = comma(Object.values(own()));
      return marks[part]
        .filter(([first, second, at]) => comma([first, second]) === here && plane.every((index, axis) => at[axis] === index))
        .map(([, , at, look]) => [at.length > 1 ? at.at(-2) - top : 0, at.at(-1) - left, 1, 1, look])
        .filter(([r, c]) => r >= 0 && c >= 0 && r < bottom - top && c < right - left);
    },
  };
}

// The product scheme

// Its rows: an output each, of all images that the page has.
export function rowsOf(conv) {
  const [first, last] = conv.box.n;
  const outs = shownOutputs(conv);
  const places = rangeOf(first, last).flatMap((n) => outs.map((at) => ({ n, at, row: rowOf(conv, n, at) })));
  const sizes = [last - first, ...sizesOf(conv.box.out)];
  function marked(row) {
    if (row === null) return [[0, places.length]];
    const [n, ...at] = placeIn(row, [conv.batch, ...conv.out]);
    const index = flatOf([n - first, ...at.map((index, axis) => index - conv.box.out[axis][0])], sizes);
    return places[index] && places[index].row === row ? [[index, 1]] : [];
  }
  return { places, marked, size: outs.length };
}

function rowSheet(view, names) {
  const { places, size } = view.rows;
  const name = ({ n, at }) => comma([n, ...at]);
  const last = places.length ? places.at(-1) : { row: 0, n: 0, at: [] };
  return {
    ...plain,
    rows: places.length,
    heads: [(r) => String(places[r].row), (r) => name(places[r])],
    widths: [String(last.row).length, name(last).length],
    corner: `r  ${"n,out"}\\${names}`,
    ruleBelow: (r) => (r + 1) % size === 0,
  };
}

export function columnsSheet(view) {
  const { conv, rows } = view;
  const read = reader(view, "padded");
  const pixelAt = (r, k) => pixelOf(conv, rows.places[r].at, columnPlace(conv, k).at);
  function texts(k) {
    const { c, at } = columnPlace(conv, k);
    return inOrder(conv, conv.byTap ? String(c) : `c=${c}`, comma(at));
  }
  return {
    ...rowSheet(view, "k"),
    columns: conv.channels * countOf(conv.kernel),
    characters: Math.max(view.digits.padded.characters, 2 * conv.kernel.length - 1),
    bracketed: isPadded(conv),
    levels: inOrder(conv, "c", comma(tapLetters(conv))),
    columnHeads: [
      { text: (k) => texts(k)[0], span: innerOf(conv) },
      { text: (k) => texts(k)[1], span: 1 },
      { text: String, span: 1 },
    ],
    text: (r, k) => bracket(conv, pixelAt(r, k), read(rows.places[r].n, columnPlace(conv, k).c, ...pixelAt(r, k))),
    padding: (r, k) => isPadding(conv, pixelAt(r, k)),
    ruleAfter: (k) => (k + 1) % innerOf(conv) === 0,
    select: (r, k) => ({ kind: "pixel", n: rows.places[r].n, c: columnPlace(conv, k).c, at: pixelAt(r, k), copy: rows.places[r].at }),
    places: (marks) => marks.columns.flatMap(([row, k, count, look]) => rows.marked(row).map(([r, high]) => [r, k, high, count, look])),
  };
}

// What the filter matrix and the product below it have alike: a column for each filter, and the same widths.
function filterSheet(view, sheet, widths) {
  const { conv, digits } = view;
  const [first, last] = conv.box.f;
  return {
    ...sheet,
    columns: last - first,
    characters: Math.max(...["filters", "product"].map((part) => (digits[part] ? digits[part].characters : 1))),
    columnHeads: [{ text: numbered(first), span: 1 }],
    widths: sheet.widths.map((width, index) => Math.max(width, widths[index])),
    ruleAfter: (f) => conv.groups > 1 && (first + f + 1) % (conv.filters / conv.groups) === 0,
  };
}

const inBox = ({ box }, f) => f >= box.f[0] && f < box.f[1];

// The filter matrix, transposed: a row for each tap.
export function matrixSheet(view) {
  const { conv } = view;
  const rows = depthOf(conv) * countOf(conv.kernel);
  const read = reader(view, "filters");
  const [first] = conv.box.f;
  const name = (k) => comma(inOrder(conv, ...Object.values(columnPlace(conv, k))));
  const sheet = {
    ...plain,
    rows,
    heads: [String, name],
    widths: [String(rows).length, name(rows - 1).length],
    corner: `k  ${comma(inOrder(conv, "c", tapLetters(conv)))}\\f`,
    text: (k, f) => read(first + f, columnPlace(conv, k).c, ...columnPlace(conv, k).at),
    ruleBelow: (k) => (k + 1) % innerOf(conv) === 0,
    select: (k, f) => ({ kind: "weight", f: first + f, ...columnPlace(conv, k) }),
    places: (marks) => marks.matrix.filter(([, , f]) => inBox(conv, f)).map(([k, count, f, look]) => [k, f - first, count, 1, look]),
  };
  return filterSheet(view, sheet, rowSheet(view).widths);
}

// The product: row r of the columns with column f of the transposed filter matrix.
export function productSheet(view) {
  const { conv, rows } = view;
  const [first] = conv.box.f;
  const read = reader(view, "product");
  const sheet = {
    ...rowSheet(view, "f"),
    tall: 3,
    text: (r, f) => read(rows.places[r].n, ...rows.places[r].at, first + f),
    select: (r, f) => ({ kind: "output", n: rows.places[r].n, f: first + f, at: rows.places[r].at }),
    places: (marks) => marks.product.filter(([, f]) => inBox(conv, f)).flatMap(([row, f, look]) => rows.marked(row).map(([r, high]) => [r, f - first, high, 1, look])),
  };
  return filterSheet(view, sheet, view.conv.parts.filters ? matrixSheet(view).widths : sheet.widths);
}
