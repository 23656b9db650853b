// The sums of a quantised convolution, as report/accumulated.py has them: of pixels and weights less their zero points, in
// an accumulator of the target's.
import { sumOf } from "./cell.mjs";
import { element } from "./dom.mjs";
import { saturated } from "./forms.mjs";

const cutTo = (value, { low, high }) => (value < BigInt(low) ? BigInt(low) : value > BigInt(high) ? BigInt(high) : value);

function wholeHeld(total, held) {
  if (held.overflow === "wrap") return BigInt.asIntN(held.bits, total);
  return held.overflow === "saturate" ? cutTo(total, held) : total;
}

// The places of products in the order in which they are added: the cell has them channel by channel.
function orderOf({ order }, depth, taps) {
  const places = Array.from({ length: depth * taps }, (_, place) => place);
  if (order.startsWith("C")) return places;
  return places.map((place) => (place % depth) * taps + Math.floor(place / depth));
}

function sumHeld(channels, held, [zx, zw]) {
  const pairs = channels.flatMap(({ pixels, weights }) => pixels.map((pixel, tap) => [pixel, weights[tap]]));
  const ordered = orderOf(held, channels.length, pairs.length / channels.length).map((place) => pairs[place]);
  const products = ordered.map(([x, w]) => (x - zx) * (w - zw));
  if (held.overflow === "pairs16") {
    const raw = saturated("pairs16", ordered.map(([x, w]) => x * w), []);
    return raw - zx * sumOf(ordered.map(([, w]) => w - zw)) - zw * sumOf(ordered.map(([x]) => x));
  }
  const { overflow, every, low, high } = held;
  if (every === "end" || overflow !== "saturate") return wholeHeld(sumOf(products), held);
  return saturated("saturating", products, [BigInt(low), BigInt(high), BigInt(every === "step" ? 1 : every)]);
}

const lessText = (zero) => (zero ? ` ${zero > 0n ? "−" : "+"} ${zero > 0n ? zero : -zero} ` : "");

const zerosOf = ({ zeros: [zx, weights] = [0, [0]] }, f) => [BigInt(zx), BigInt(weights[weights.length > 1 ? f : 0])];

// The product of a pixel and a weight of a filter.
export function timesLess(pixel, weight, conv, f) {
  if (typeof pixel !== "bigint" || typeof weight !== "bigint") return Number(pixel) * Number(weight);
  const [zx, zw] = zerosOf(conv, f);
  return (pixel - zx) * (weight - zw);
}

export function quantisedCell(cell, conv, { f }) {
  const zeros = zerosOf(conv, f), [zx, zw] = zeros, { held } = conv;
  if (!zx && !zw && !held) return cell;
  const less = zeros.map(lessText);
  const channels = cell.channels.map((channel) => {
    const products = channel.pixels.map((pixel, tap) => timesLess(pixel, channel.weights[tap], conv, f));
    return { ...channel, products, total: sumOf(products), less };
  });
  const sums = sumOf(channels.map(({ total }) => total)), bias = cell.bias ?? 0n;
  const found = { ...cell, channels, sums, total: sums + bias };
  if (!held) return found;
  const product = sumHeld(channels, held, zeros);
  const rules = [...cell.rules.slice(0, -1), [held.overflow, cell.rules.at(-1)[1]]];
  return { ...found, rules, held: cell.bias === null ? product : wholeHeld(product + bias, held) };
}

// What stands beside the product of matrices, whose pixels and weights are shown as they are.
export function zerosNote({ zeros }, app) {
  if (!zeros) return null;
  return element("p", {}, app.say("zerosMeaning", { pixels: zeros[0], weights: zeros[1].join(", ") }));
}
