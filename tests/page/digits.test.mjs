// One precision for each array, and decimal points below each other.
import assert from "node:assert/strict";
import test from "node:test";
import { digitsOf, pointed } from "../../convpipe/report/page/digits.mjs";

const floats = (values) => ({ dtype: "float64", values: Float64Array.from(values) });
const texts = (array) => Array.from(array.values, digitsOf(array).text);

test("floats have as many decimals as all of them need, three at most", () => {
  assert.deepEqual(texts(floats([0, 0.170882, -9.5])), ["0.000", "0.171", "-9.500"]);
  assert.deepEqual(texts(floats([0.5, 1.25, -3])), ["0.50", "1.25", "-3.00"]);
  assert.deepEqual(texts(floats([2, -7, 0])), ["2", "-7", "0"]);
  assert.deepEqual(texts(floats([123.456, 0.001])), ["123.46", "0.00"]);
  assert.deepEqual(texts(floats([0.0123, 0.05])), ["0.0123", "0.0500"]);
});

test("very large and very small ones have exponents, all of them", () => {
  assert.deepEqual(texts(floats([1.5e-7, 0])), ["1.50e-7", "0.00e+0"]);
  assert.deepEqual(texts(floats([2.5e8 + 0.5, 1])), ["2.50e+8", "1.00e+0"]);
});

test("what is no number has Python's name, and zero no sign", () => {
  assert.deepEqual(texts(floats([NaN, Infinity, -Infinity, -0.0001, 0.7])), ["nan", "inf", "-inf", "0.000", "0.700"]);
});

test("integers stay whole, whatever their size", () => {
  const array = { dtype: "int64", values: BigInt64Array.from([9007199254740993n, -1n]) };
  assert.deepEqual(texts(array), ["9007199254740993", "-1"]);
  assert.equal(digitsOf(array).characters, 16);
  assert.deepEqual(texts({ dtype: "int16", values: Int16Array.from([-9, 12345]) }), ["-9", "12345"]);
});

test("all texts of an array but those without decimals are equally long after the point", () => {
  const tails = texts(floats([0.1, 22.333333, 5])).map((text) => text.split(".")[1].length);
  assert.deepEqual(new Set(tails), new Set([3]));
});

test("a cell that the page does not have is empty", () => {
  assert.equal(digitsOf(floats([1.5])).text(undefined), "");
});

test("points stand below each other", () => {
  assert.deepEqual(pointed(["1.5", "10", "0.25"]), ["1.5 ", "10   ", "0.25"]);
  assert.deepEqual(pointed(["-3", "12"]), ["-3", "12"]);
});

test("floats that are all whole are as long as they are", () => {
  assert.deepEqual([digitsOf(floats([2, -7])).whole, digitsOf(floats([2.5])).whole], [true, false]);
});
