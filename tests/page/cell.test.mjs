// Cells and their lines, by hand; tests/test_page_convolution.py holds them against `convpipe explain`.
import assert from "node:assert/strict";
import test from "node:test";
import { boundOf, cellOf, inFull, sumLine, verdictOf } from "../../convpipe/report/page/cell.mjs";
import { arrayOf } from "../../convpipe/report/page/data.mjs";

const say = (key, values = {}) => [key, ...Object.values(values)].join(" ");
const KINDS = { int8: Int8Array, int64: BigInt64Array, uint8: Uint8Array, float32: Float32Array, float64: Float64Array };
const array = (dtype, shape, values) => arrayOf("a", { dtype, shape }, KINDS[dtype].from(values).buffer);

// One pixel for each channel, one weight for each pixel.
function single(dtype, pixels, weights, stored, storedType, rules, bias = null) {
  const conv = { batch: 1, channels: pixels.length, filters: 1, groups: 1, spatial: [1], padded: [1], pads: [[0, 0]], kernel: [1], stride: [1], dilation: [1], out: [1], rules, addsBias: bias !== null };
  const arrays = { padded: array(dtype, [1, pixels.length, 1], pixels), filters: array(dtype, [1, pixels.length, 1], weights), sums: array(storedType, [1, 1, 1], [stored]) };
  if (bias !== null) arrays.bias = array(dtype, [1], [bias]);
  return cellOf(conv, arrays, { n: 0, f: 0, at: [0] });
}

test("integers add up exactly, beyond what floats hold", () => {
  const cell = single("int64", [9007199254740993n, 1n], [1n, 2n], 9007199254740995n, "int64", [["error", "int64"]]);
  assert.equal(cell.total, 9007199254740995n);
  assert.equal(sumLine(cell, say), "9007199254740993 + 2 = 9007199254740995, asStored 9007199254740995 error int64");
});

test("a bias stands at the end", () => {
  assert.match(sumLine(single("int8", [2], [3], 10, "int8", [["error", "int8"]], 4), say), /^6 \+ 4 \(bias\) = 10, asStored/);
});

test("rules for what does not fit are known", () => {
  assert.equal(verdictOf(single("int8", [100], [2], -56, "int8", [["wrap", "int8"]])), "storedByRule");
  assert.equal(verdictOf(single("int8", [100], [2], 127, "int8", [["saturate", "int8"]])), "storedByRule");
  assert.equal(verdictOf(single("int8", [-100], [2], 0, "uint8", [["saturate", "uint8"]])), "storedByRule");
  assert.equal(verdictOf(single("int8", [100], [2], 126, "int8", [["saturate", "int8"]])), "butStored");
  assert.equal(verdictOf(single("int8", [5], [2], 10, "int8", [["wrap", "int8"]])), "asStored");
});

test("a bias that a later stage adds has the rule of the sum before it", () => {
  const rules = [["wrap", "int8"], ["wrap", "int8"]];
  assert.equal(verdictOf(single("int8", [100], [2], -55, "int8", rules, 1)), "storedByRule");
});

test("floats agree within the rounding of their dtype, and no further", () => {
  const cell = (stored) => single("float64", [0.1, 0.2], [1, 1], stored, "float64", [["error", "float64"]]);
  assert.equal(verdictOf(cell(0.1 + 0.2)), "asStored");
  assert.equal(verdictOf(cell(0.3)), "asRounded");
  assert.equal(verdictOf(cell(0.3000001)), "butStored");
  assert.ok(boundOf(cell(0.3)) < 1e-14);
});

test("what is not finite is told as it is", () => {
  const cell = (pixels, stored, rule) => single("float64", pixels, [1, 1], stored, "float64", [[rule, "float64"]]);
  assert.equal(verdictOf(cell([Infinity, 1], Infinity, "error")), "asStored");
  assert.equal(verdictOf(cell([NaN, 1], NaN, "error")), "asStored");
  assert.equal(verdictOf(cell([1e308, 1e308], Infinity, "inf")), "asStored");
  assert.equal(verdictOf(single("float32", [3e38, 3e38], [1, 1], Infinity, "float32", [["inf", "float32"]])), "storedByRule");
  assert.equal(verdictOf(single("float32", [3e38, 3e38], [1, 1], (2 - 2 ** -23) * 2 ** 127, "float32", [["saturate", "float32"]])), "storedByRule");
});

test("a sum that leaves what floats hold only on the way is finite", () => {
  assert.equal(single("float64", [1e308, -1e308], [2, 1.5], 5e307, "float64", [["error", "float64"]]).total, 5e307);
  assert.equal(single("float64", [1e308], [10], Infinity, "float64", [["inf", "float64"]]).total, Infinity);
  assert.equal(single("float64", [1e308, 1e308], [1, 1], 1e308, "float64", [["error", "float64"]], -1e308).total, 1e308);
});

test("more than sixteen channels are told by their sum", () => {
  const ones = Array(20).fill(1);
  assert.match(sumLine(single("int8", ones, ones, 20, "int8", [["error", "int8"]]), say), /^(1 \+ ){16}4 \(otherChannels\) = 20, /);
});

test("stored values have all of their digits, and no more", () => {
  assert.equal(inFull(8.90804216353093, "float64"), "8.90804216353093");
  assert.equal(inFull(Math.fround(0.1), "float32"), "0.1");
  assert.equal(inFull(Math.fround(16777216), "float32"), "16777216");
  assert.equal(inFull(0.0999755859375, "float16"), "0.1");
  assert.equal(inFull(-9n, "int16"), "-9");
  assert.equal(inFull(-0, "float64"), "0");
});
