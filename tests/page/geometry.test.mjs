// Where things lie, by hand and against loops that know nothing of geometry.mjs.
import assert from "node:assert/strict";
import test from "node:test";
import { columnOf, columnPlace, copiesOf, countOf, firstChannel, flatOf, innerOf, isPadding, pixelOf, placeIn, placesWithin, rowOf, tapsOf, wholeSpans, windowOf } from "../../convpipe/report/page/geometry.mjs";

const square = (size, kernel, pad, more = {}) => ({
  batch: 1, channels: 3, filters: 6, groups: 1, spatial: [size, size], pads: [[pad, pad], [pad, pad]], padded: [size + 2 * pad, size + 2 * pad],
  kernel: [kernel, kernel], stride: [1, 1], dilation: [1, 1], out: [size + 2 * pad - kernel + 1, size + 2 * pad - kernel + 1], ...more,
});

test("places come in C order", () => {
  assert.deepEqual(placesWithin([[1, 3], [0, 2]]), [[1, 0], [1, 1], [2, 0], [2, 1]]);
  assert.deepEqual(placesWithin([]), [[]]);
  assert.deepEqual(placesWithin([[2, 2], [0, 5]]), []);
});

test("flat numbers and places are each other's", () => {
  for (let flat = 0; flat < 24; flat++) assert.equal(flatOf(placeIn(flat, [2, 3, 4]), [2, 3, 4]), flat);
  assert.deepEqual(placeIn(23, [2, 3, 4]), [1, 2, 3]);
});

test("a pixel of lecture_4d inside has nine copies, one at the corner four, padding's corner one", () => {
  const conv = square(5, 3, 1);
  assert.equal(copiesOf(conv, [3, 3]).length, 9);
  assert.equal(copiesOf(conv, [1, 1]).length, 4);
  assert.equal(copiesOf(conv, [0, 0]).length, 1);
  assert.equal(copiesOf(conv, [1, 3]).length, 6);
});

test("columns lie by channels, or within each group by taps", () => {
  const conv = square(4, 2, 0, { channels: 4, groups: 2 });
  const plain = [];
  for (let c = 0; c < 4; c++) for (const tap of tapsOf(conv)) plain.push([c, tap]);
  plain.forEach(([c, tap], column) => assert.equal(columnOf(conv, c, tap), column));
  const turned = { ...conv, byTap: true };
  const grouped = [];
  for (const first of [0, 2]) for (const tap of tapsOf(conv)) for (const c of [first, first + 1]) grouped.push([c, tap]);
  grouped.forEach(([c, tap], column) => {
    assert.equal(columnOf(turned, c, tap), column);
    assert.deepEqual(columnPlace(turned, column), { c, at: tap });
  });
  assert.deepEqual([innerOf(conv), innerOf(turned)], [4, 2]);
});

test("a stride leaves pixels that nothing reads", () => {
  const conv = square(4, 1, 0, { stride: [2, 2], out: [2, 2] });
  assert.deepEqual(copiesOf(conv, [1, 0]), []);
  assert.deepEqual(copiesOf(conv, [2, 2]), [{ at: [1, 1], tap: [0, 0] }]);
});

test("rows and columns are numbered as im2col lays them out", () => {
  const conv = square(5, 3, 1, { batch: 2 });
  assert.equal(rowOf(conv, 1, [2, 3]), 25 + 13);
  assert.equal(columnOf(conv, 2, [1, 2]), 18 + 5);
  assert.deepEqual(columnPlace(conv, 23), { c: 2, at: [1, 2] });
});

test("padding is what no pixel of the image is", () => {
  const conv = square(2, 1, 0, { spatial: [2, 3], pads: [[1, 0], [0, 2]], padded: [3, 5] });
  const inside = placesWithin(wholeSpans(conv.padded)).filter((at) => !isPadding(conv, at));
  assert.deepEqual(inside, [[1, 0], [1, 1], [1, 2], [2, 0], [2, 1], [2, 2]]);
});

test("a filter sees its group's channels", () => {
  const conv = square(3, 1, 0, { channels: 6, filters: 4, groups: 2 });
  assert.deepEqual([0, 1, 2, 3].map((f) => firstChannel(conv, f)), [0, 0, 3, 3]);
});

// Random geometry: the copies of a pixel are the windows that hold it.
test("windows and copies tell the same in any geometry", () => {
  let seed = 7;
  const draw = (most) => (seed = (seed * 48271) % 2147483647) % most;
  for (let turn = 0; turn < 300; turn++) {
    const rank = 1 + draw(3);
    const list = (most) => Array.from({ length: rank }, () => 1 + draw(most));
    const conv = { channels: 1, filters: 1, groups: 1, batch: 1, kernel: list(3), stride: list(3), dilation: list(2), out: list(3) };
    conv.padded = conv.out.map((size, axis) => (size - 1) * conv.stride[axis] + (conv.kernel[axis] - 1) * conv.dilation[axis] + 1 + draw(2));
    const found = new Map();
    for (const at of placesWithin(wholeSpans(conv.out))) {
      windowOf(conv, at).forEach((pixel, index) => found.set(String(pixel), [...(found.get(String(pixel)) || []), { at, tap: tapsOf(conv)[index] }]));
    }
    let total = 0;
    for (const pixel of placesWithin(wholeSpans(conv.padded))) {
      const copies = copiesOf(conv, pixel);
      total += copies.length;
      assert.deepEqual(copies, found.get(String(pixel)) || []);
      for (const { at, tap } of copies) assert.deepEqual(pixelOf(conv, at, tap), pixel);
    }
    assert.equal(total, countOf(conv.out) * countOf(conv.kernel));
  }
});
