// A selection in maps of a million cells: no list of marks is too long for a call, and only what is shown is marked.
import assert from "node:assert/strict";
import test from "node:test";
import { marksOf } from "../../convpipe/report/page/marks.mjs";

const LARGE = {
  batch: 1, channels: 1, filters: 1, groups: 1, spatial: [600, 600], padded: [600, 600], pads: [[0, 0], [0, 0]], kernel: [3, 3], stride: [1, 1], dilation: [1, 1], out: [598, 598],
};

test("a weight of a large convolution marks the pixels of all outputs, or of those that are shown", () => {
  const chosen = { kind: "weight", f: 0, c: 0, at: [1, 2] };
  assert.equal(marksOf(LARGE, chosen, { n: 0, f: 0 }).padded.length, 598 * 598);
  const shown = { ...LARGE, box: { out: [[10, 13], [20, 22]] } };
  const pixels = marksOf(shown, chosen, { n: 0, f: 0 }).padded.map(([, , at]) => at.join());
  assert.deepEqual(pixels, ["11,22", "11,23", "12,22", "12,23", "13,22", "13,23"]);
});

test("an output of a filter as large as its map marks the whole map", () => {
  const whole = { ...LARGE, kernel: [600, 600], out: [1, 1] };
  const marks = marksOf(whole, { kind: "output", n: 0, f: 0, at: [0, 0] }, { n: 0, f: 0 });
  assert.deepEqual([marks.padded.length, marks.filters.length], [360000, 360000]);
});
