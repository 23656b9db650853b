// An array as pictures: which axes number the maps, what the colours stand for, and the pixels.
import { placeOf, valueAt } from "./data.mjs";

const MOST_COLOURS = 4096;
const STRIP = 32;
const MOST_BARS = 32;
const NUMBERED = 28;
const MOST_NUMBERS = 1200;
const LONGEST_NUMBER = 5;
const MOST_SIDE_SHOWN = 320;
const RED = [178, 24, 43];
const BLUE = [33, 102, 172];
const WHITE = [255, 255, 255];
const NOTHING = [230, 0, 230];

const productOf = (sizes) => sizes.reduce((all, size) => all * size, 1);

// How an array is seen: {kind: maps, strip or bars; images, image: letter; count, height, width; labels(map);
// at(image, map, y, x): whole-array indices, or null; spot(indices): where they are seen}.
export function planesOfArray(axes, shape) {
  const rank = shape.length;
  if (rank <= 1 || (rank === 2 && axes[0] === "N")) return vectorPlanes(axes, shape);
  if (rank === 2) return matrixPlanes(axes, shape);
  return mapPlanes(axes, shape);
}

function vectorPlanes(axes, shape) {
  const rank = shape.length, count = rank ? shape[rank - 1] : 1;
  const indices = (image, unit) => (rank === 2 ? [image, unit] : rank ? [unit] : []);
  const bars = count <= MOST_BARS;
  const width = bars ? 1 : STRIP;
  return {
    kind: bars ? "bars" : "strip",
    images: rank === 2 ? shape[0] : 1,
    image: "n",
    count: 1,
    height: Math.ceil(count / width),
    width,
    label: () => (rank ? axes[rank - 1] : ""),
    at: (image, map, y, x) => (y * width + x < count ? indices(image, y * width + x) : null),
    spot: (at) => ({ image: rank === 2 ? at[0] : 0, map: 0, y: Math.floor((at[rank - 1] ?? 0) / width), x: (at[rank - 1] ?? 0) % width }),
  };
}

function matrixPlanes(axes, shape) {
  return {
    kind: "maps", images: 1, image: "", count: 1, height: shape[0], width: shape[1],
    label: () => `${axes[0]} × ${axes[1]}`,
    at: (image, map, y, x) => [y, x],
    spot: ([y, x]) => ({ image: 0, map: 0, y, x }),
  };
}

function mapPlanes(axes, shape) {
  const rank = shape.length;
  const last = axes[0] === "N" && axes[rank - 1] === "F";
  const order = last ? [0, rank - 1, ...Array.from({ length: rank - 2 }, (_, at) => at + 1)] : shape.map((_, at) => at);
  const sizes = order.map((axis) => shape[axis]), letters = order.map((axis) => axes[axis].split("/")[0]);
  const tail = rank === 3 ? 1 : 2;
  const middle = sizes.slice(1, rank - tail);
  const unravel = (map) => middle.map((size, at) => Math.floor(map / productOf(middle.slice(at + 1))) % size);
  const width = sizes[rank - 1], height = tail === 1 ? 1 : sizes[rank - 2];
  return {
    kind: "maps",
    images: sizes[0],
    image: letters[0].toLowerCase(),
    count: productOf(middle),
    height,
    width,
    label: (map) => unravel(map).map((index, at) => `${letters[at + 1].toLowerCase()}=${index}`).join(" "),
    at(image, map, y, x) {
      const found = [];
      [image, ...unravel(map), ...(tail === 1 ? [x] : [y, x])].forEach((index, at) => (found[order[at]] = index));
      return found;
    },
    spot(indices) {
      const own = order.map((axis) => indices[axis]);
      const map = middle.reduce((sum, size, at) => sum * size + own[at + 1], 0);
      return { image: own[0], map, y: tail === 1 ? 0 : own[rank - 2], x: own[rank - 1] };
    },
  };
}

// One scale for all maps of an array. Signed ones are symmetric about 0.
export function scaleOf(array) {
  if (array.thumb) return scaleBetween(array.thumb.low, array.thumb.high);
  let low = Infinity, high = -Infinity;
  for (const value of array.values) {
    const number = Number(value);
    if (!Number.isFinite(number)) continue;
    if (number < low) low = number;
    if (number > high) high = number;
  }
  return low > high ? scaleBetween(0, 0) : scaleBetween(low, high);
}

export function scaleBetween(low, high) {
  return { low, high, signed: low < 0, most: Math.max(Math.abs(low), Math.abs(high)) };
}

const mixed = (from, to, share) => from.map((part, at) => Math.round(part + (to[at] - part) * share));

// The colour of a number: red below 0, white at 0, blue above; or from black to white. NaN is of a colour of its own.
export function colourOf(number, scale) {
  if (Number.isNaN(number)) return NOTHING;
  if (scale.signed) {
    const share = scale.most ? Math.min(1, Math.abs(number) / scale.most) : 0;
    return mixed(WHITE, number < 0 ? RED : BLUE, share);
  }
  const span = scale.high - scale.low;
  const grey = Math.round(255 * (span ? Math.min(1, Math.max(0, (number - scale.low) / span)) : 0));
  return [grey, grey, grey];
}

// The number that stands at indices, of a thumbnail the middle of what its eight bits stand for.
export function numberAt(array, indices) {
  const value = valueAt(array, indices);
  if (value === undefined) return undefined;
  if (!array.thumb) return Number(value);
  return array.thumb.low + (value / 255) * (array.thumb.high - array.thumb.low);
}

// The places of a map's cells in an array's values, row by row; -1 for what the page does not have.
function placesInMap(array, planes, image, map) {
  const { height, width } = planes, places = new Int32Array(height * width);
  const placeAt = (y, x) => {
    const indices = planes.at(image, map, y, x);
    return indices ? placeOf(array, indices) : -1;
  };
  const [first, last] = [placeAt(0, 0), placeAt(height - 1, width - 1)];
  const even = first >= 0 && last >= 0 && planes.kind === "maps";
  const down = height > 1 ? placeAt(1, 0) - first : 0, aside = width > 1 ? placeAt(0, 1) - first : 0;
  for (let y = 0, at = 0; y < height; y++) {
    for (let x = 0; x < width; x++, at++) places[at] = even ? first + y * down + x * aside : placeAt(y, x);
  }
  return places;
}

// A map as RGBA, row by row; what the page does not have is transparent.
export function planePixels(array, planes, image, map, scale) {
  const places = placesInMap(array, planes, image, map), pixels = new Uint8ClampedArray(4 * places.length);
  const { low, high } = array.thumb || {}, known = new Map();
  for (let at = 0; at < places.length; at++) {
    if (places[at] < 0) continue;
    const value = array.values[places[at]];
    let colour = known.get(value);
    if (!colour) {
      colour = colourOf(array.thumb ? low + (value / 255) * (high - low) : Number(value), scale);
      if (known.size < MOST_COLOURS) known.set(value, colour);
    }
    pixels[4 * at] = colour[0];
    pixels[4 * at + 1] = colour[1];
    pixels[4 * at + 2] = colour[2];
    pixels[4 * at + 3] = 255;
  }
  return pixels;
}

// Three maps of bytes as one picture in colour.
export function colourPixels(array, planes, image) {
  const channels = [0, 1, 2].map((map) => placesInMap(array, planes, image, map));
  const pixels = new Uint8ClampedArray(4 * planes.height * planes.width).fill(255);
  for (let at = 0; at < channels[0].length; at++) {
    for (let map = 0; map < 3; map++) pixels[4 * at + map] = levelAt(array, channels[map][at]);
  }
  return pixels;
}

const levelAt = (array, place) =>
  (array.thumb ? array.thumb.low + (array.values[place] / 255) * (array.thumb.high - array.thumb.low) : array.values[place]);

export function isColoured(node, planes) {
  return !node.inputs.length && node.name === "input" && node.dtype === "uint8" && planes.kind === "maps" && planes.count === 3;
}

// The scale of one map alone.
export function scaleOfMap(array, planes, image, map) {
  if (array.thumb) return scaleOf(array);
  const values = new array.values.constructor(planes.height * planes.width);
  let count = 0;
  for (const place of placesInMap(array, planes, image, map)) if (place >= 0) values[count++] = array.values[place];
  return scaleOf({ values: values.subarray(0, count) });
}

// By which whole number a map is enlarged, or made smaller: so that a side is about 112 pixels long, or 320 where there is one map alone;
// and so that its numbers can stand in its cells.
export function enlargement(planes, numbered = false) {
  const longest = Math.max(planes.height, planes.width, 1);
  if (numbered) return NUMBERED;
  if (longest > MOST_SIDE_SHOWN) return 1 / Math.ceil(longest / MOST_SIDE_SHOWN);
  return Math.max(1, Math.min(24, Math.floor((planes.count > 1 ? 112 : 320) / longest)));
}

export function hasNumbers(planes) {
  const small = planes.count === 1 || Math.max(planes.height, planes.width) <= 16;
  return planes.kind === "maps" && small && planes.height * planes.width * planes.count <= MOST_NUMBERS;
}

export const isShortNumber = (text) => text.length <= LONGEST_NUMBER;

// Whether dark letters are seen on a colour.
export const isLight = ([red, green, blue]) => 0.299 * red + 0.587 * green + 0.114 * blue > 140;

// Cells of one map as few rectangles: runs along a row, put together where the next row has the same.
export function markedAreas(cells) {
  const rows = new Map();
  for (const { y, x } of cells) rows.set(y, [...(rows.get(y) || []), x]);
  const areas = [];
  for (const y of [...rows.keys()].sort((a, b) => a - b)) {
    for (const [x, width] of runsOf(rows.get(y))) {
      const above = areas.find((area) => area.x === x && area.width === width && area.y + area.height === y);
      if (above) above.height++;
      else areas.push({ x, y, width, height: 1 });
    }
  }
  return areas;
}

function runsOf(places) {
  const runs = [];
  for (const place of [...new Set(places)].sort((a, b) => a - b)) {
    const last = runs[runs.length - 1];
    if (last && last[0] + last[1] === place) last[1]++;
    else runs.push([place, 1]);
  }
  return runs;
}
