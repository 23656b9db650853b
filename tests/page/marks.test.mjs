// What lights up, counted by hand on the lecture's 4-D page: 3x5x5 padded by 1, six 3x3 filters.
import assert from "node:assert/strict";
import test from "node:test";
import { depthIn, marksOf } from "../../convpipe/report/page/marks.mjs";

const LECTURE = {
  batch: 1, channels: 3, filters: 6, groups: 1, spatial: [5, 5], padded: [7, 7], pads: [[1, 1], [1, 1]], kernel: [3, 3], stride: [1, 1], dilation: [1, 1], out: [5, 5],
};
const GROUPED = { ...LECTURE, channels: 4, filters: 4, groups: 2 };
const looks = (marks) => new Set(marks.map((mark) => mark.at(-1)));

test("an output lights its window in every channel, its filter, its row and its column", () => {
  const marks = marksOf(LECTURE, { kind: "output", n: 0, f: 4, at: [1, 2] }, { n: 0, f: 4 });
  assert.equal(marks.padded.length, 27);
  assert.deepEqual(marks.padded[0], [0, 0, [1, 2], "window"]);
  assert.deepEqual(marks.padded.at(-1), [0, 2, [3, 4], "window"]);
  assert.equal(marks.filters.length, 27);
  assert.deepEqual(marks.columns, [[7, 0, 27, "window"]]);
  assert.deepEqual(marks.matrix, [[0, 27, 4, "weight"]]);
  assert.deepEqual(marks.product, [[7, 4, "result chosen"]]);
  assert.deepEqual(marks.feature_map, [[0, 4, [1, 2], "result chosen"]]);
});

test("a pixel lights its nine copies, their weights and the nine outputs that it feeds", () => {
  const marks = marksOf(LECTURE, { kind: "pixel", n: 0, c: 1, at: [3, 3] }, { n: 0, f: 2 });
  assert.equal(marks.columns.length, 9);
  assert.ok(marks.columns.every(([, k]) => k >= 9 && k < 18));
  assert.deepEqual(marks.columns.map(([row]) => row), [6, 7, 8, 11, 12, 13, 16, 17, 18]);
  assert.deepEqual(marks.columns.map(([, k]) => k), [17, 16, 15, 14, 13, 12, 11, 10, 9]);
  assert.equal(marks.feature_map.length, 9);
  assert.equal(marks.filters.length, 9);
  assert.deepEqual(looks(marks.product), new Set(["feeds"]));
  assert.deepEqual(marks.padded, [[0, 1, [3, 3], "window chosen"]]);
});

test("an entry of the column matrix is told from the pixel's other copies", () => {
  const marks = marksOf(LECTURE, { kind: "pixel", n: 0, c: 1, at: [3, 3], copy: [2, 2] }, { n: 0, f: 2 });
  assert.deepEqual(marks.columns.filter(([, , , look]) => look.includes("chosen")), [[12, 13, 1, "window chosen"]]);
  assert.deepEqual(marks.product.filter(([, , look]) => look.includes("chosen")), [[12, 2, "feeds chosen"]]);
});

test("a weight lights its column and a pixel for each output", () => {
  const marks = marksOf(LECTURE, { kind: "weight", f: 3, c: 2, at: [0, 1] }, { n: 0, f: 3 });
  assert.deepEqual(marks.columns, [[null, 19, 1, "window"]]);
  assert.deepEqual(marks.matrix, [[19, 1, 3, "weight chosen"]]);
  assert.equal(marks.padded.length, 25);
  assert.deepEqual(marks.padded[0], [0, 2, [0, 1], "window"]);
});

test("a filter lights its group's part of a row, and other groups' pixels feed none of its outputs", () => {
  const marks = marksOf(GROUPED, { kind: "output", n: 0, f: 3, at: [0, 0] }, { n: 0, f: 3 });
  assert.deepEqual(marks.columns, [[0, 18, 18, "window"]]);
  assert.deepEqual(new Set(marks.padded.map(([, c]) => c)), new Set([2, 3]));
  const other = marksOf(GROUPED, { kind: "pixel", n: 0, c: 0, at: [3, 3] }, { n: 0, f: 3 });
  assert.equal(other.columns.length, 9);
  assert.deepEqual([other.feature_map, other.product, other.filters], [[], [], []]);
  assert.deepEqual([depthIn(GROUPED, 3, 2), depthIn(GROUPED, 3, 1)], [0, null]);
});

test("nothing lights up where nothing is selected", () => {
  assert.ok(Object.values(marksOf(LECTURE, null, { n: 0, f: 0 })).every((marks) => !marks.length));
});
