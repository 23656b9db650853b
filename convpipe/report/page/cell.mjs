// One output cell taken apart, as report/cell.py does, and the line that says what its sum is, as report/cell_text.py.
// Integers are BigInt, floats Number: sums of integers are exact.
import { valueAt } from "./data.mjs";
import { depthOf, firstChannel, isPadding, pixelOf, rangeOf, tapsOf } from "./geometry.mjs";
import { short } from "./numbers.mjs";

export const MOST_CHANNELS = 16;

const FLOATS = {
  float16: { computing: 2 ** -23, smallest: 2 ** -149, spacing: 2 ** -10, least: 2 ** -24, most: 65504 },
  float32: { computing: 2 ** -23, smallest: 2 ** -149, spacing: 2 ** -23, least: 2 ** -149, most: (2 - 2 ** -23) * 2 ** 127 },
  float64: { computing: 2 ** -52, smallest: 2 ** -1074, spacing: 2 ** -52, least: 2 ** -1074, most: Number.MAX_VALUE },
};

export const isWhole = (dtype) => dtype.includes("int");

// A value as the number that it stands for.
export function exactly(array, indices) {
  const value = valueAt(array, indices);
  return isWhole(array.dtype) ? BigInt(value) : Number(value);
}

const bothWhole = (first, second) => typeof first === "bigint" && typeof second === "bigint";
const times = (first, second) => (bothWhole(first, second) ? first * second : Number(first) * Number(second));
// What pages of quantised convolutions, and those with stages after the sums, have of their own.
export const added = { times, hold: (cell) => cell, later: () => [], note: () => null };
const plus = (first, second) => (bothWhole(first, second) ? first + second : Number(first) + Number(second));
export const sumOf = (values) => values.reduce(plus, 0n);
const SCALE = 2 ** -512;

// The sum of some products; where it leaves what floats hold on the way, of factors made small, and then large again.
function sumOfProducts(first, second) {
  const found = sumOf(first.map((value, index) => times(value, second[index])));
  if (finite(found) || ![...first, ...second].every(finite)) return found;
  return first.reduce((sum, value, index) => sum + Number(value) * SCALE * (Number(second[index]) * SCALE), 0) / SCALE / SCALE;
}

const finite = (value) => typeof value === "bigint" || Number.isFinite(value);

function channelOf(conv, { padded, filters }, { n, f, at }, depth) {
  const number = firstChannel(conv, f) + depth;
  const taps = tapsOf(conv);
  const places = taps.map((tap) => pixelOf(conv, at, tap));
  const pixels = places.map((place) => exactly(padded, [n, number, ...place]));
  const weights = taps.map((tap) => exactly(filters, [f, depth, ...tap]));
  const products = pixels.map((pixel, index) => times(pixel, weights[index]));
  return { number, pixels, weights, products, padding: places.map((place) => isPadding(conv, place)), total: sumOfProducts(pixels, weights) };
}

// {channels, bias, sums, total, stored, dtype, rules} of an output: `rules` are those of the stages that add up, in order.
export function cellOf(conv, arrays, place) {
  const channels = rangeOf(0, depthOf(conv)).map((depth) => channelOf(conv, arrays, place, depth));
  const bias = conv.addsBias ? exactly(arrays.bias, [place.f]) : null;
  const sums = sumOf(channels.map(({ total }) => total));
  const stored = exactly(arrays.sums, [place.n, ...place.at, place.f]);
  return added.hold({ channels, bias, sums, total: wholeTotal(channels, sums, bias), stored, dtype: arrays.sums.dtype, rules: conv.rules }, conv, place);
}

function wholeTotal(channels, sums, bias) {
  const found = bias === null ? sums : plus(sums, bias);
  if (finite(found)) return found;
  const all = (name) => channels.flatMap((channel) => channel[name]);
  return sumOfProducts([...all("pixels"), bias === null ? 0n : bias], [...all("weights"), 1n]);
}

// What becomes of a whole sum in a dtype.
function ruled(total, [overflow, dtype]) {
  if (overflow === "error") return total;
  const bits = Number(dtype.replace(/\D/g, ""));
  const signed = !dtype.startsWith("u");
  if (overflow === "wrap") return signed ? BigInt.asIntN(bits, total) : BigInt.asUintN(bits, total);
  const least = signed ? -(1n << BigInt(bits - 1)) : 0n;
  const most = (1n << BigInt(signed ? bits - 1 : bits)) - 1n;
  return total < least ? least : total > most ? most : total;
}

function wholeAgrees(cell) {
  if (cell.held !== undefined) return cell.held === cell.stored;
  const first = cell.rules.length > 1 ? plus(ruled(cell.sums, cell.rules.at(-2)), cell.bias === null ? 0n : cell.bias) : cell.total;
  return ruled(first, cell.rules.at(-1)) === cell.stored;
}

const factorsOf = (cell) => cell.channels.flatMap((channel) => [...channel.pixels, ...channel.weights]);

function magnitudeOf(cell) {
  const products = cell.channels.flatMap((channel) => channel.products);
  return products.reduce((sum, part) => sum + Math.abs(Number(part)), Math.abs(Number(cell.bias || 0)));
}

// How far the stored sum and this one may be apart, as execution.bounds.float_bound derives it.
export function boundOf(cell) {
  const { computing, smallest, spacing, least, most } = FLOATS[cell.dtype];
  const taps = cell.channels.reduce((count, channel) => count + channel.weights.length, 0);
  const units = ((taps + 2) * computing) / 2;
  const gamma = units < 1 ? units / (1 - units) : Infinity;
  const size = magnitudeOf(cell);
  const error = gamma * size + ((1 + gamma) * size * spacing) / 2 + (taps + 1) * smallest + least;
  return size + error < most ? 2 * error : Infinity;
}

function floatVerdict(cell, total) {
  const overflow = cell.rules.at(-1)[0];
  const allFinite = factorsOf(cell).every(finite) && finite(cell.bias || 0n);
  const { most } = FLOATS[cell.dtype];
  const saturated = overflow === "saturate" && Math.abs(cell.stored) === most && Math.abs(total) > most;
  const infinite = overflow === "inf" && !Number.isFinite(cell.stored);
  if (allFinite && (saturated || infinite)) return "storedByRule";
  if (!Number.isFinite(cell.stored)) return allFinite ? "butStored" : "storedAdded";
  return Math.abs(total - cell.stored) <= boundOf(cell) ? "asRounded" : "butStored";
}

// The key of the words for how the sum and the stored value go together.
export function verdictOf(cell) {
  if (isWhole(cell.dtype)) {
    if (!wholeAgrees(cell)) return "butStored";
    return cell.total === cell.stored ? "asStored" : "storedByRule";
  }
  const total = Number(cell.total);
  if (total === cell.stored || (Number.isNaN(total) && Number.isNaN(cell.stored))) return "asStored";
  return floatVerdict(cell, total);
}

// The last line of `convpipe explain` for the cell.
export function sumLine(cell, say) {
  const parts = cell.channels.slice(0, MOST_CHANNELS).map((channel) => short(channel.total));
  const rest = cell.channels.slice(MOST_CHANNELS);
  if (rest.length) parts.push(`${short(sumOf(rest.map((channel) => channel.total)))} (${say("otherChannels")})`);
  if (cell.bias !== null) parts.push(`${short(cell.bias)} (${say("bias")})`);
  const told = { stored: short(cell.stored), overflow: cell.rules.at(-1)[0], dtype: cell.dtype };
  return `${parts.join(" + ")} = ${short(cell.total)}, ${say(verdictOf(cell), told)}`;
}

// A stored value with all of its digits: the fewest that no other value of its dtype has.
export function inFull(value, dtype) {
  if (typeof value === "bigint" || !Number.isFinite(value) || value === 0) return short(value);
  if (dtype === "float64") return String(value);
  const half = (2 ** Math.floor(Math.log2(Math.abs(value))) * FLOATS[dtype].spacing) / 2;
  let digits = 1;
  while (digits < 9 && Math.abs(Number(value.toPrecision(digits)) - value) >= half) digits += 1;
  return String(Number(value.toPrecision(digits)));
}
