import assert from "node:assert/strict";
import { test } from "node:test";
import { readsOf, resultOf, textOf } from "../../convpipe/report/page/forms.mjs";

const variable = (number, base = 0) => [base, [[number, 1, 1, 0]], 1];
// the largest of two cells beside each other, of a row of four
const pool = {
  formula: ["max", "x"],
  rank: 1,
  loops: [2],
  reads: [{ name: "x", input: 0, places: [[0, [[0, 2, 1, 0], [1, 1, 1, 0]], 1]], sizes: [4] }],
};
const row = [5n, 7n, -2n, 0n];

test("a window is read, and told", () => {
  assert.deepEqual(readsOf(pool, [1]), [{ name: "x", input: 0, cells: [[2], [3]], padding: [false, false] }]);
  assert.equal(textOf(pool, [0], (input, [at]) => row[at]), "max(5, 7)");
});

test("padding that is not there is null, and stands in brackets", () => {
  const read = { name: "x", input: 0, places: [variable(0, -1)], sizes: [4], pads: [[1, 0]] };
  const pad = { formula: "x", rank: 1, loops: [], reads: [read], constants: { padding: "9" } };
  assert.deepEqual(readsOf(pad, [0])[0], { name: "x", input: 0, cells: [null], padding: [true] });
  assert.equal(textOf(pad, [0], () => 0n), "(9)");
  assert.equal(textOf(pad, [1], () => 0n, () => "conv1"), "conv1[0]");
});

test("functions are worked out on the way", () => {
  const read = { name: "x", input: 0, places: [variable(0)], sizes: [4] };
  const sigmoid = { formula: ["/", 1, ["+", 1, ["exp", ["-", "x"]]]], rank: 1, loops: [], reads: [read] };
  assert.equal(textOf(sigmoid, [2], (input, [at]) => row[at]), "1 / (1 + exp(-(-2))) = 1 / (1 + 7.38906)");
});

test("of many terms the first are told", () => {
  const wide = { ...pool, loops: [40], reads: [{ ...pool.reads[0], places: [variable(1)], sizes: [40] }] };
  assert.match(textOf(wide, [0], () => 1n), /^max\(1, (1, )+\(8 more\)\)$/);
});

test("what a formula comes to", () => {
  assert.equal(resultOf(pool, [1], (input, [at]) => row[at]), 0n);
  const read = { name: "x", input: 0, places: [variable(0)], sizes: [4] };
  const gelu = { formula: ["*", "x", ["Phi", "x"]], rank: 1, loops: [], reads: [read] };
  for (const [x, expected] of [[1, 0.8413447460685429], [-1, -0.15865525393145707], [-5, -1.4332578593959697e-6], [0, 0]]) {
    const error = resultOf(gelu, [0], () => x) - expected;
    assert.ok(Math.abs(error) <= 1e-12 * Math.abs(expected), `${x}: ${error}`);
  }
  const mean = { ...pool, formula: ["/", ["sum", "x"], ["count", "x"]] };
  assert.equal(resultOf(mean, [0], (input, [at]) => Number(row[at])), 6);
  const sum = { ...pool, formula: ["sum", "x"], loops: [3], reads: [{ ...pool.reads[0], places: [variable(1)] }] };
  assert.equal(resultOf(sum, [0], (input, [at]) => [1e16, 1, -1e16][at]), 1);
  assert.equal(resultOf(sum, [0], (input, [at]) => [1, Infinity, 2][at]), Infinity);
});
