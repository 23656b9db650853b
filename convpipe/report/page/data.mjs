// The page's facts and arrays. An array is {name, dtype, shape, origin, strides, values}; values of 64-bit integers are
// BigInt, of float16 the numbers that they stand for.
const KINDS = {
  int8: Int8Array, uint8: Uint8Array, int16: Int16Array, uint16: Uint16Array, int32: Int32Array, uint32: Uint32Array,
  int64: BigInt64Array, uint64: BigUint64Array, float32: Float32Array, float64: Float64Array, float16: Uint16Array,
};

export function halfNumber(bits) {
  const sign = bits & 0x8000 ? -1 : 1;
  const exponent = (bits >> 10) & 31;
  const fraction = bits & 1023;
  if (exponent === 31) return fraction ? NaN : sign * Infinity;
  return sign * (exponent ? 2 ** (exponent - 15) * (1 + fraction / 1024) : 2 ** -14 * (fraction / 1024));
}

export function arrayOf(name, facts, buffer) {
  const raw = new KINDS[facts.dtype](buffer);
  const values = facts.dtype === "float16" ? Float32Array.from(raw, halfNumber) : raw;
  const strides = facts.shape.map((_, axis) => facts.shape.slice(axis + 1).reduce((a, b) => a * b, 1));
  return { name, ...facts, origin: facts.origin || facts.shape.map(() => 0), strides, values };
}

// The place of whole-array indices in `values`; -1 where this part of the array does not have them.
export function placeOf(array, indices) {
  let place = 0;
  for (let axis = 0; axis < indices.length; axis++) {
    const index = indices[axis] - array.origin[axis];
    if (index < 0 || index >= array.shape[axis]) return -1;
    place += index * array.strides[axis];
  }
  return place;
}

// The value at whole-array indices; undefined where the page does not have it.
export function valueAt(array, indices) {
  const place = placeOf(array, indices);
  return place < 0 ? undefined : array.values[place];
}

// The facts, and the words, which are packed like arrays.
export async function readFacts() {
  const facts = JSON.parse(document.getElementById("facts").textContent);
  return { ...facts, words: JSON.parse(new TextDecoder().decode(await unpacked("words"))) };
}

function unpacked(id) {
  const text = atob(document.getElementById(id).textContent);
  const bytes = Uint8Array.from(text, (letter) => letter.charCodeAt(0));
  return new Response(new Blob([bytes]).stream().pipeThrough(new DecompressionStream("gzip"))).arrayBuffer();
}

// An array that holds what another holds, perhaps with its axes in another order.
export function turnedView(name, view, array) {
  const order = view.order || array.shape.map((_, axis) => axis);
  const turned = (each) => order.map((axis) => each[axis]);
  return { ...array, name, shape: turned(array.shape), origin: turned(array.origin), strides: turned(array.strides) };
}

// Decodes an array when it is asked for, once.
export function arrayReader(facts) {
  const found = new Map();
  async function decoded(name) {
    return arrayOf(name, facts.arrays[name], await unpacked(`a-${name}`));
  }
  function read(name) {
    const known = facts.arrays[name];
    if (!known) return Promise.resolve(null);
    if (!found.has(name)) found.set(name, known.of ? read(known.of).then((array) => turnedView(name, known, array)) : decoded(name));
    return found.get(name);
  }
  return read;
}
