// Pictures of many points or lines, pixel by pixel: what draws 20,000 runs in a moment.
export const TONES = ["#2f7fd6", "#d9730d", "#2a9250", "#d9485f", "#9a60d0", "#1193a0", "#93802a", "#c950a8"];
export const LEFT_OUT = "#888c96";
const RAMP = ["#2f7fd6", "#9a60d0", "#d9485f", "#d9730d"];
export const SHAPES = ["circle", "square", "triangle", "diamond", "cross", "bar"];
const FINE = 4;

export function rgbOf(hex) {
  return [1, 3, 5].map((at) => parseInt(hex.slice(at, at + 2), 16));
}

// The colour of a place from 0 to 1: blue, violet, red, orange; each can be told from white and from black paper.
export function rampColour(place) {
  const at = Math.max(0, Math.min(place, 1)) * (RAMP.length - 1);
  const from = Math.min(Math.floor(at), RAMP.length - 2);
  const [a, b] = [rgbOf(RAMP[from]), rgbOf(RAMP[from + 1])];
  return a.map((value, channel) => Math.round(value + (b[channel] - value) * (at - from)));
}

// Whether a spot of the square from -1 to 1 is in a shape.
export function isInside(shape, x, y) {
  const [a, b] = [Math.abs(x), Math.abs(y)];
  return {
    circle: x * x + y * y <= 0.8, square: a <= 0.75 && b <= 0.75, triangle: y <= 0.75 && a <= (y + 0.95) * 0.55,
    diamond: a + b <= 1, cross: Math.abs(a - b) <= 0.36 && a <= 0.9 && b <= 0.9, bar: a <= 0.35 && b <= 1,
  }[shape];
}

// A shape's coverage of each pixel of a small square.
export function stampOf(shape, radius) {
  const side = 2 * Math.ceil(radius) + 1;
  const coverage = new Float32Array(side * side);
  for (let place = 0; place < side * side * FINE * FINE; place++) {
    const [column, line] = [place % (side * FINE), Math.floor(place / (side * FINE))];
    const [x, y] = [column, line].map((at) => ((at + 0.5) / FINE - side / 2) / radius);
    if (isInside(shape, x, y)) coverage[Math.floor(line / FINE) * side + Math.floor(column / FINE)] += 1 / (FINE * FINE);
  }
  return { side, coverage };
}

// Puts a stamp in a colour upon a picture {width, height, data}, of which it covers a part.
export function putStamp(picture, stamp, x, y, [red, green, blue], strength) {
  const { width, height, data } = picture;
  const [left, top] = [Math.round(x - stamp.side / 2), Math.round(y - stamp.side / 2)];
  for (let line = Math.max(0, -top); line < stamp.side && top + line < height; line++) {
    for (let column = Math.max(0, -left); column < stamp.side && left + column < width; column++) {
      const cover = stamp.coverage[line * stamp.side + column] * strength;
      if (!cover) continue;
      const at = 4 * ((top + line) * width + left + column);
      const under = (data[at + 3] / 255) * (1 - cover);
      const whole = cover + under;
      data[at] = (red * cover + data[at] * under) / whole;
      data[at + 1] = (green * cover + data[at + 1] * under) / whole;
      data[at + 2] = (blue * cover + data[at + 2] * under) / whole;
      data[at + 3] = 255 * whole;
    }
  }
}

// How many rows go from each height on one axis to each on the next, heights in whole pixels below `size`.
export function bundles(first, second, rows, size) {
  const counts = new Uint32Array(size * size);
  for (const row of rows) counts[first(row) * size + second(row)] += 1;
  return counts;
}

// Adds bundles to how often each pixel between two axes is crossed: `density` has lines of `width` pixels.
export function addBundles(density, width, left, gap, counts, size) {
  for (let key = 0; key < counts.length; key++) {
    if (!counts[key]) continue;
    const [from, to] = [Math.floor(key / size), key % size];
    const steps = Math.max(gap, Math.abs(to - from));
    const weight = (counts[key] * gap) / steps;
    for (let step = 0; step < steps; step++) {
      const y = from + ((to - from) * step) / steps;
      const above = y | 0;
      const at = above * width + left + ((step * gap) / steps | 0);
      density[at] += weight * (1 - y + above);
      if (y > above) density[at + width] += weight * (y - above);
    }
  }
}

// A density as a picture's bytes: the more lines, the less seen through.
export function densityPicture(density, [red, green, blue], data) {
  let most = 1;
  for (const each of density) if (each > most) most = each;
  const scale = 1 / Math.log1p(most);
  for (let at = 0; at < density.length; at++) {
    if (!density[at]) continue;
    data[4 * at] = red;
    data[4 * at + 1] = green;
    data[4 * at + 2] = blue;
    data[4 * at + 3] = Math.min(255, 255 * (0.12 + 0.88 * Math.log1p(density[at]) * scale));
  }
}
