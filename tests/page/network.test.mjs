// The graph's layout, maps as pictures, thumbnails as numbers and marks: each by itself, without a page.
import assert from "node:assert/strict";
import test from "node:test";

import { orderedImages, wayTo } from "../../convpipe/report/page/answers.mjs";
import { arrayOf, turnedView, valueAt } from "../../convpipe/report/page/data.mjs";
import { columnMiddles, cutText, edgePath, graphLayout, layerRows, neighbourOf } from "../../convpipe/report/page/graph.mjs";
import { largestOf, movedCell } from "../../convpipe/report/page/layer.mjs";
import {
  colourOf, colourPixels, enlargement, hasNumbers, isColoured, isLight, isShortNumber, markedAreas, numberAt, planePixels, planesOfArray, scaleBetween,
  scaleOf, scaleOfMap,
} from "../../convpipe/report/page/maps.mjs";
import { askedCell, firstNode, isInBox, placedIndices } from "../../convpipe/report/page/network.mjs";
import { cellsByMap } from "../../convpipe/report/page/sources.mjs";
import { nodeOfStage } from "../../convpipe/report/page/stages.mjs";
import { cellReads, cellStories } from "../../convpipe/report/page/story.mjs";

const node = (name, ...inputs) => ({ name, inputs, array: name });
// input -> conv1 -> relu -> conv2 -> add (of relu and conv2) -> out
const RESIDUAL = [node("input"), node("conv1", "input"), node("relu", "conv1"), node("conv2", "relu"), node("add", "relu", "conv2"), node("out", "add")];
// four branches of an inception block, and a skip around it
const BRANCHES = [
  node("input"), node("a", "input"), node("b1", "input"), node("b2", "b1"), node("c1", "input"), node("c2", "c1"), node("c3", "c2"),
  node("concat", "a", "b2", "c3", "input"),
];

function placesOf(nodes) {
  const { boxes } = graphLayout(nodes);
  return Object.fromEntries(boxes.map((box) => [box.node.name, [box.row, box.column]]));
}

// Rows and columns that each edge passes between its ends.
function passed(layout) {
  const rows = new Map(layout.boxes.map((box) => [box.node.name, box.row]));
  return layout.edges.flatMap(({ from, to, through }) => {
    const span = rows.get(to) - rows.get(from) - 1;
    return Array.from({ length: span }, (_, step) => `${rows.get(from) + 1 + step}:${through}`);
  });
}

test("a row is one below the longest path that leads to it", () => {
  const rows = layerRows(BRANCHES);
  assert.deepEqual(BRANCHES.map(({ name }) => rows.get(name)), [0, 1, 1, 2, 1, 2, 3, 4]);
});

test("what reads nothing stands just above its first reader", () => {
  const rows = layerRows([node("x"), node("weights"), node("a", "x"), node("b", "a"), node("c", "b", "weights")]);
  assert.deepEqual([...rows], [["x", 0], ["weights", 2], ["a", 1], ["b", 2], ["c", 3]]);
});

test("a chain is a column, and a skip passes beside it", () => {
  assert.deepEqual(placesOf(RESIDUAL), { input: [0, 0], conv1: [1, 0], relu: [2, 0], conv2: [3, 0], add: [4, 0], out: [5, 0] });
  const skip = graphLayout(RESIDUAL).edges.find((edge) => edge.from === "relu" && edge.to === "add");
  assert.equal(skip.through, 1);
});

for (const [name, nodes] of [["residual", RESIDUAL], ["branches", BRANCHES], ["dense", denseBlock(9)], ["random", randomGraph(60)]]) {
  test(`no two boxes stand on each other, no edge passes a box or another edge: ${name}`, () => {
    const layout = graphLayout(nodes);
    const taken = [...layout.boxes.map((box) => `${box.row}:${box.column}`), ...passed(layout)];
    assert.equal(new Set(taken).size, taken.length);
    assert.equal(layout.edges.length, nodes.reduce((sum, each) => sum + new Set(each.inputs).size, 0));
  });
}

function denseBlock(count) {
  const names = Array.from({ length: count }, (_, at) => `n${at}`);
  return names.map((name, at) => node(name, ...names.slice(0, at)));
}

function randomGraph(count) {
  let state = 7;
  const random = (below) => ((state = (state * 1103515245 + 12345) % 2147483648), Math.floor((state / 2147483648) * below));
  return Array.from({ length: count }, (_, at) =>
    node(`n${at}`, ...(at ? [`n${Math.max(0, at - 1 - random(2))}`, ...(random(3) ? [] : [`n${random(at)}`])] : [])));
}

test("columns with boxes are wide, those of edges alone are narrow", () => {
  const { middles, width } = columnMiddles(graphLayout(RESIDUAL));
  assert.deepEqual([middles, width], [[92, 195], 220]);
});

test("a long edge goes down where it passes", () => {
  const path = edgePath({ x: 92, row: 0 }, { x: 92, row: 3 }, 195);
  assert.match(path, /^M92 54C.* 195 78V182C.* 92 206$/);
});

test("arrow keys lead to the nearest box that way", () => {
  const layout = graphLayout(BRANCHES);
  assert.equal(neighbourOf(layout, "input", "ArrowDown"), "a");
  assert.equal(neighbourOf(layout, "a", "ArrowRight"), "b1");
  assert.equal(neighbourOf(layout, "b1", "ArrowLeft"), "a");
  assert.equal(neighbourOf(layout, "b1", "ArrowDown"), "b2");
  assert.equal(neighbourOf(layout, "input", "ArrowUp"), "input");
  assert.equal(neighbourOf(layout, "b1", "End"), "concat");
  assert.equal(neighbourOf(layout, "b1", "Home"), "input");
  assert.equal(neighbourOf(layout, "b1", "x"), "b1");
});

test("long names are cut", () => {
  assert.equal(cutText("short"), "short");
  assert.equal(cutText("x".repeat(30)), `${"x".repeat(21)}…`);
});

// Maps

const filled = (dtype, shape, values, more = {}) => {
  const kinds = { float32: Float32Array, int16: Int16Array, uint8: Uint8Array, int64: BigInt64Array };
  return arrayOf("x", { dtype, shape, ...more }, new kinds[dtype](values).buffer);
};

const range = (count) => Array.from({ length: count }, (_, at) => at);

for (const [axes, shape, expected] of [
  [["N", "C", "H", "W"], [2, 3, 4, 5], { images: 2, count: 3, height: 4, width: 5, kind: "maps" }],
  [["N", "out_h", "out_w", "F"], [2, 4, 5, 3], { images: 2, count: 3, height: 4, width: 5, kind: "maps" }],
  [["N", "C", "W"], [2, 3, 5], { images: 2, count: 3, height: 1, width: 5, kind: "maps" }],
  [["N", "C", "D", "H", "W"], [1, 2, 3, 4, 5], { images: 1, count: 6, height: 4, width: 5, kind: "maps" }],
  [["F", "C", "kh", "kw"], [4, 3, 2, 2], { images: 4, count: 3, height: 2, width: 2, kind: "maps" }],
  [["N*H*W", "C"], [6, 4], { images: 1, count: 1, height: 6, width: 4, kind: "maps" }],
  [["N", "units"], [2, 10], { images: 2, count: 1, height: 10, width: 1, kind: "bars" }],
  [["N", "units"], [1, 100], { images: 1, count: 1, height: 4, width: 32, kind: "strip" }],
  [["F"], [4], { images: 1, count: 1, height: 4, width: 1, kind: "bars" }],
  [[], [], { images: 1, count: 1, height: 1, width: 1, kind: "bars" }],
]) {
  test(`(${axes}) is seen as maps, every cell in one place: ${shape}`, () => {
    const planes = planesOfArray(axes, shape);
    for (const [name, value] of Object.entries(expected)) assert.equal(planes[name], value, name);
    const seen = new Set();
    for (let image = 0; image < planes.images; image++) {
      for (let map = 0; map < planes.count; map++) {
        for (let y = 0; y < planes.height; y++) {
          for (let x = 0; x < planes.width; x++) {
            const indices = planes.at(image, map, y, x);
            if (indices === null) continue;
            assert.deepEqual(planes.spot(indices), { image, map, y, x });
            seen.add(String(indices));
          }
        }
      }
    }
    assert.equal(seen.size, shape.reduce((a, b) => a * b, 1));
  });
}

test("maps are named by their letters", () => {
  assert.equal(planesOfArray(["N", "C", "D", "H", "W"], [1, 2, 3, 4, 5]).label(4), "c=1 d=1");
  assert.equal(planesOfArray(["N", "out_h", "out_w", "F"], [1, 4, 4, 3]).label(2), "f=2");
  assert.equal(planesOfArray(["F", "C/G", "kh", "kw"], [4, 3, 2, 2]).label(1), "c=1");
});

test("a scale is of all finite values; signed ones are symmetric", () => {
  assert.deepEqual(scaleOf(filled("float32", [4], [-2, 1, NaN, Infinity])), { low: -2, high: 1, signed: true, most: 2 });
  assert.deepEqual(scaleOf(filled("int64", [2], [3n, 9n])), { low: 3, high: 9, signed: false, most: 9 });
  assert.deepEqual(scaleOf(filled("float32", [1], [NaN])), { low: 0, high: 0, signed: false, most: 0 });
});

test("colours: red below 0, white at 0, blue above, else from black to white", () => {
  const signed = scaleBetween(-4, 2), grey = scaleBetween(10, 20), flat = scaleBetween(5, 5);
  assert.deepEqual([-4, 0, 4].map((value) => colourOf(value, signed)), [[178, 24, 43], [255, 255, 255], [33, 102, 172]]);
  assert.deepEqual(colourOf(-2, signed), [217, 140, 149]);
  assert.deepEqual([10, 15, 20].map((value) => colourOf(value, grey)), [[0, 0, 0], [128, 128, 128], [255, 255, 255]]);
  assert.deepEqual(colourOf(5, flat), [0, 0, 0]);
  assert.deepEqual([Infinity, -Infinity].map((value) => colourOf(value, signed)), [[33, 102, 172], [178, 24, 43]]);
  assert.notDeepEqual(colourOf(NaN, signed), colourOf(0, signed));
});

test("pixels of one map, row by row; what the page does not have is transparent", () => {
  const array = filled("int16", [1, 2, 1, 2], [0, 1, 2, 4]), planes = planesOfArray(["N", "C", "H", "W"], [1, 2, 1, 2]);
  assert.deepEqual([...planePixels(array, planes, 0, 1, scaleOf(array))], [128, 128, 128, 255, 255, 255, 255, 255]);
  const part = filled("int16", [1, 1, 1, 1], [4], { origin: [0, 1, 0, 1] });
  assert.deepEqual([...planePixels(part, planes, 0, 1, scaleBetween(0, 4))], [0, 0, 0, 0, 255, 255, 255, 255]);
});

test("three maps of bytes are one picture in colour", () => {
  const array = filled("uint8", [1, 3, 1, 2], [255, 0, 7, 8, 9, 10]), planes = planesOfArray(["N", "C", "H", "W"], [1, 3, 1, 2]);
  assert.deepEqual([...colourPixels(array, planes, 0)], [255, 7, 9, 255, 0, 8, 10, 255]);
  const input = { name: "input", inputs: [], dtype: "uint8" };
  assert.ok(isColoured(input, planes));
  assert.ok(!isColoured({ ...input, dtype: "int16" }, planes));
  assert.ok(!isColoured({ ...input, name: "relu", inputs: ["input"] }, planes));
});

test("maps are enlarged by a whole number, few small ones so that numbers stand in them", () => {
  const of = (count, height, width) => ({ kind: "maps", count, height, width });
  assert.deepEqual([of(3, 8, 8), of(64, 28, 28), of(64, 224, 224), of(1, 64, 20)].map((planes) => enlargement(planes)), [14, 4, 1, 5]);
  assert.equal(enlargement(of(3, 8, 8), true), 28);
  assert.deepEqual([of(3, 8, 8), of(64, 8, 8), of(1, 30, 40), of(2, 30, 10)].map(hasNumbers), [true, false, true, false]);
});

test("large maps are made smaller, by a whole number too", () => {
  assert.deepEqual([[480, 640], [321, 10], [320, 320]].map(([height, width]) => enlargement({ kind: "maps", count: 3, height, width })), [1 / 2, 1 / 2, 1]);
});

test("a map can have a scale of its own", () => {
  const array = filled("int16", [1, 2, 1, 2], [0, 7, -2, 5]), planes = planesOfArray(["N", "C", "H", "W"], [1, 2, 1, 2]);
  assert.deepEqual(scaleOfMap(array, planes, 0, 0), scaleBetween(0, 7));
  assert.deepEqual(scaleOfMap(array, planes, 0, 1), scaleBetween(-2, 5));
});

test("numbers that are too long for a cell do not stand in it", () => {
  assert.deepEqual(["0", "-9999", "0.125", "100000", "0.1234"].map(isShortNumber), [true, true, true, false, false]);
  assert.deepEqual([[255, 255, 255], [178, 24, 43], [0, 0, 0], [200, 200, 255]].map(isLight), [true, false, false, true]);
});

test("a thumbnail's number is that of its level", () => {
  const thumb = { low: -1, high: 1, step: 2, count: 1, of: 4 };
  const array = filled("uint8", [1, 1, 1, 2], [0, 255], { origin: [3, 0, 0, 0], thumb });
  assert.deepEqual([numberAt(array, [3, 0, 0, 0]), numberAt(array, [3, 0, 0, 1]), numberAt(array, [0, 0, 0, 0])], [-1, 1, undefined]);
  assert.deepEqual(scaleOf(array), scaleBetween(-1, 1));
});

test("an array can be a view of another, its axes in another order", () => {
  const array = filled("int16", [1, 2, 2, 3], range(12), { origin: [4, 0, 0, 0] });
  const view = turnedView("y", { order: [0, 3, 1, 2] }, array);
  assert.deepEqual([view.shape, view.origin], [[1, 3, 2, 2], [4, 0, 0, 0]]);
  assert.equal(valueAt(view, [4, 2, 1, 0]), valueAt(array, [4, 1, 0, 2]));
  assert.equal(valueAt(turnedView("y", {}, array), [4, 1, 0, 2]), 8);
});

test("cells are marked by few rectangles", () => {
  const cells = (...places) => places.map(([y, x]) => ({ y, x }));
  assert.deepEqual(markedAreas(cells([0, 0], [0, 1], [1, 0], [1, 1])), [{ x: 0, y: 0, width: 2, height: 2 }]);
  assert.deepEqual(markedAreas(cells([0, 0], [0, 2], [2, 0])), [
    { x: 0, y: 0, width: 1, height: 1 }, { x: 2, y: 0, width: 1, height: 1 }, { x: 0, y: 2, width: 1, height: 1 },
  ]);
  assert.deepEqual(markedAreas(cells([1, 1], [1, 1])), [{ x: 1, y: 1, width: 1, height: 1 }]);
});

test("keys move the chosen cell within its map and from map to map", () => {
  const planes = { count: 3, height: 2, width: 2 };
  const at = (map, y, x) => ({ map, y, x });
  assert.deepEqual(movedCell(planes, null, "ArrowDown"), at(0, 0, 0));
  assert.deepEqual(movedCell(planes, at(0, 0, 0), "ArrowDown"), at(0, 1, 0));
  assert.deepEqual(movedCell(planes, at(0, 1, 1), "ArrowRight"), at(0, 1, 1));
  assert.deepEqual(movedCell(planes, at(1, 0, 1), "PageUp"), at(0, 0, 1));
  assert.deepEqual(movedCell(planes, at(1, 0, 1), "PageDown", 2), at(1, 0, 1));
  assert.equal(movedCell(planes, at(0, 0, 0), "a"), null);
});

test("of a long vector the largest come first, the first of equals first", () => {
  assert.deepEqual(largestOf([1, 5, 3, 5, NaN], 3), [1, 3, 2]);
  assert.deepEqual(largestOf([5, NaN, 9], 3), [2, 0, 1]);
});

// Cells and their stories

const RELU = { formula: ["max", 0, "x"], rank: 1, reads: [{ name: "x", input: 0, places: [[0, [[0, 1, 1, 0]], 1]], sizes: [3] }], loops: [] };

test("a cell's story is its name, the formula with its numbers, and what is stored", () => {
  const relu = { name: "relu", array: "relu", reads: { 0: "conv" }, form: RELU };
  const arrays = { relu: filled("int64", [3], [0n, 0n, 9007199254740993n]), conv: filled("int64", [3], [-5n, 0n, 9007199254740993n]) };
  const told = (at) => cellStories(relu, [at], (name) => arrays[name]);
  assert.deepEqual(told(0), [{ name: "relu[0]", formula: "max(0, -5)", stored: "0" }]);
  assert.deepEqual(told(2), [{ name: "relu[2]", formula: "max(0, 9007199254740993)", stored: "9007199254740993" }]);
  assert.equal(told(7), null);
  assert.deepEqual(cellReads(relu, [1]), [{ array: "conv", cells: [[1]] }]);
  arrays.conv = null;
  assert.deepEqual(told(1), [{ name: "relu[1]", missing: "conv", stored: "0" }]);
});

test("a given cell is its value, and a thumbnail's has none", () => {
  const input = { name: "input", array: "input", inputs: [] };
  assert.deepEqual(cellStories(input, [0], () => filled("uint8", [1], [7])), [{ name: "input[0]", stored: "7" }]);
  const thumb = { low: 0, high: 1 };
  assert.equal(cellStories(input, [0], () => filled("uint8", [1], [7], { thumb })), null);
  assert.deepEqual(cellReads(input, [0]), []);
});

test("cells that are read are put together by map", () => {
  const planes = planesOfArray(["N", "C", "H", "W"], [1, 2, 2, 2]);
  assert.deepEqual(cellsByMap(planes, [[0, 1, 0, 0], [0, 0, 1, 1], [0, 1, 1, 0]]), [
    { image: 0, map: 1, cells: [{ y: 0, x: 0 }, { y: 1, x: 0 }] }, { image: 0, map: 0, cells: [{ y: 1, x: 1 }] },
  ]);
});

// What is shown first, and what leads where

const layer = (name, shape, more = {}) => ({ ...node(name, "input"), shape, axes: ["N", "C", "H", "W"], ...more });
const FACTS = { graph: [layer("input", [1, 1, 4, 4], { inputs: [] }), layer("conv", [1, 2, 3, 3], { conv: true }), layer("relu", [1, 2, 3, 3])], start: {} };

test("the first convolution is shown first, or the layer and the cell that are asked for", () => {
  assert.equal(firstNode(FACTS), "conv");
  assert.equal(firstNode({ graph: FACTS.graph.slice(2) }), "relu");
  const asked = { ...FACTS, start: { layer: "relu", at: [0, 1, 2, 0] } };
  assert.equal(firstNode(asked), "relu");
  assert.deepEqual(askedCell(asked), { image: 0, cell: { map: 1, y: 2, x: 0 }, cellPinned: true });
  assert.deepEqual(askedCell(FACTS), {});
});

test("the cell that is asked for is n, f, y, x, wherever an array has its channels", () => {
  assert.deepEqual(placedIndices(["N", "out_h", "out_w", "F"], [0, 1, 2, 3]), [0, 2, 3, 1]);
  assert.deepEqual(placedIndices(["N", "C", "H", "W"], [0, 1, 2, 3]), [0, 1, 2, 3]);
  assert.deepEqual([placedIndices(["F"], [4]), placedIndices(["N", "units"], [0, 4])], [[4], [0, 4]]);
});

test("only cells of the page's part of a convolution lead to it", () => {
  const convolution = { box: { n: [0, 1], f: [2, 4], out: [[1, 3], [0, 2]] } };
  assert.ok(isInBox(convolution, [0, 2, 1, 1]));
  for (const outside of [[1, 2, 1, 1], [0, 4, 1, 1], [0, 2, 0, 1], [0, 2, 1, 2]]) assert.ok(!isInBox(convolution, outside));
});

test("a row of the stage table leads to the node that shows it", () => {
  const graph = [
    { name: "input", array: "input", inputs: [] }, { name: "conv", array: "conv/transpose", inputs: ["input"] },
    { name: "dense", array: "dense", inputs: ["conv"], reads: { 0: "conv/transpose", weights: "shared/weights" } },
  ];
  const found = (stage) => (nodeOfStage(graph, stage) || {}).name;
  assert.deepEqual(["input", "conv/transpose", "conv/pad", "shared/weights", "output", "nowhere"].map(found),
    ["input", "conv", "conv", "dense", "dense", undefined]);
});

test("wrong answers come first, or alone", () => {
  const answers = [1, 2, 3, -1], truths = [1, 5, 3, 4];
  assert.deepEqual(orderedImages(answers, truths, false), [1, 3, 0, 2]);
  assert.deepEqual(orderedImages(answers, truths, true), [1, 3]);
  assert.deepEqual(orderedImages(answers, null, false), [0, 1, 2, 3]);
});

test("beside an image whose stages the page does not have stands how to see them", () => {
  const recorded = { first: 2, count: 3, all: 6 };
  assert.deepEqual([1, 2, 4, 5, 6].map((image) => wayTo(image, recorded)), ["--at 1,…", "", "", "--at 5,…", "record=7"]);
});
