// The parts of a collection's page that need no browser.
import assert from "node:assert/strict";
import { test } from "node:test";
import { commandOf, rowsLeft, shellWord } from "../../convpipe/report/page/collection.mjs";
import { columnFrom, csvOf, sortedRows } from "../../convpipe/report/page/columns.mjs";
import { didYouMean, likeness } from "../../convpipe/report/page/hints.mjs";
import { axesAmong, movedRange, nearestLine, nextPlace } from "../../convpipe/report/page/parallel.mjs";
import { addBundles, bundles, isInside, putStamp, rampColour, rgbOf, SHAPES, stampOf, TONES } from "../../convpipe/report/page/raster.mjs";
import { pageOf, rowWindow, stepTo, widthOf } from "../../convpipe/report/page/runs.mjs";
import { axisOf, maskBetween, niceSteps, numberScale, powerSteps, thinned, wordsBetween } from "../../convpipe/report/page/scales.mjs";
import { firstAxes, jitter, lookOf, nearestPoint, pointsOf } from "../../convpipe/report/page/scatter.mjs";
import { rowsWhere } from "../../convpipe/report/page/where.mjs";

// A column of these cells, as Python packs it.
function column(cells, name = "x") {
  const texts = [...new Set(cells.filter(Boolean))];
  const places = cells.map((cell) => (cell ? texts.indexOf(cell) : texts.length));
  return columnFrom({ name, count: texts.length, gaps: cells.filter((cell) => !cell).length, texts }, cells.length, places, null, false);
}

const ordered = (cells, down) => Array.from(sortedRows(column(cells), down), (row) => cells[row]);

test("sorting: numbers by size, then words, then lists; gaps last either way; equals as they were", () => {
  const cells = ["10", "", "9", "same", "[2, 1]", "-1", "[10]", "", "True", "0.5", "[2]", "1"];
  assert.deepEqual(ordered(cells, false), ["-1", "0.5", "True", "1", "9", "10", "same", "[2]", "[2, 1]", "[10]", "", ""]);
  assert.deepEqual(ordered(cells, true), ["[10]", "[2, 1]", "[2]", "same", "10", "9", "True", "1", "0.5", "-1", "", ""]);
});

test("whole numbers beyond 2^53 are sorted exactly, and by value beside floats", () => {
  const cells = ["9007199254740993", "9007199254740992", "9007199254740992.5", "9007199254740994", "1e+300", "-1e+300"];
  const sorted = ["-1e+300", "9007199254740992", "9007199254740992.5", "9007199254740993", "9007199254740994", "1e+300"];
  assert.deepEqual(ordered(cells, false), sorted);
});

test("CSV: quotes where a reader needs them, formulas with a mark", () => {
  const columns = [column(["a,b", 'say "no"', "two\nlines", "=1+1", ""], "n,ame"), column(["1", "", "3", "-4", "5"], "y")];
  assert.equal(csvOf(columns, [0, 1, 2, 3, 4]), '"n,ame",y\n"a,b",1\n"say ""no""",\n"two\nlines",3\n\'=1+1,-4\n,5\n');
  assert.equal(csvOf([columns[1]], Uint32Array.of(1, 4)), 'y\n""\n5\n');
});

test("rows that are left keep their order", () => {
  const masks = [Uint8Array.of(1, 1, 0, 1), null, Uint8Array.of(0, 1, 1, 1)];
  assert.deepEqual([...rowsLeft(Uint32Array.of(3, 2, 1, 0), masks)], [3, 1]);
});

test("steps are 1, 2 or 5 times a power of ten, inside, and not too many", () => {
  assert.deepEqual(niceSteps(0, 1, 5), [0, 0.2, 0.4, 0.6, 0.8, 1]);
  assert.deepEqual(niceSteps(3, 17, 4), [5, 10, 15]);
  assert.deepEqual(niceSteps(0, 3, 8, true), [0, 1, 2, 3]);
  assert.deepEqual(niceSteps(-0.3, 0.3, 4), [-0.2, 0, 0.2]);
  assert.deepEqual(niceSteps(7, 7, 4), [7]);
  for (const [low, high] of [[1e-9, 3e-9], [0, 1e300], [-5, 1e6], [1e15, 1e15 + 8], [0.1, 0.7]]) {
    const steps = niceSteps(low, high, 6);
    assert.ok(steps.length >= 2 && steps.length <= 7, steps);
    assert.ok(steps.every((each) => each >= low - 1e-6 * (high - low) && each <= high + 1e-6 * (high - low)), steps);
  }
});

test("an axis of a thousand and more is in powers of ten, one with zero is not", () => {
  assert.deepEqual(powerSteps(1e-5, 0.5, 6), [1e-5, 1e-4, 1e-3, 0.01, 0.1]);
  assert.deepEqual(powerSteps(1, 1e12, 5), [1, 1000, 1e6, 1e9, 1e12]);
  const scale = numberScale([1, 10, 1000]);
  assert.deepEqual([scale.isLog, scale.place(1), scale.place(1000)], [true, 0, 1]);
  assert.ok(Math.abs(scale.place(10) - 1 / 3) < 1e-12);
  assert.equal(numberScale([0, 1000]).isLog, false);
  assert.equal(numberScale([-1, 1000]).isLog, false);
  assert.equal(numberScale([5, 5]).place(5), 0.5);
});

test("ticks that would lie on each other go, the ends stay", () => {
  const ticks = [0, 0.02, 0.5, 0.97, 1].map((at) => ({ at }));
  assert.deepEqual(thinned(ticks, 0.05).map((tick) => tick.at), [0, 0.5, 1]);
  assert.deepEqual(thinned([], 0.05), []);
  assert.deepEqual(thinned([{ at: 0.5 }], 2).map((tick) => tick.at), [0.5]);
});

const texts = (axis) => axis.ticks(6).map((tick) => tick.text);

test("words are in the order of sorting, numbers among them first, a gap below all", () => {
  const axis = axisOf(column(["valid", "same", "2", "10", "", "[1, 0]"]));
  assert.equal(axis.isWords, true);
  assert.deepEqual(texts(axis), ["–", "2", "10", "same", "valid", "[1, 0]"]);
  const places = ["", "2", "10", "same", "valid", "[1, 0]"].map((cell) => axis.places[["valid", "same", "2", "10", "[1, 0]", ""].indexOf(cell)]);
  assert.deepEqual(places, [...places].sort((a, b) => a - b));
});

test("a few words beside many numbers have places of their own below those", () => {
  const cells = [...Array.from({ length: 40 }, (_, at) => String(at)), "nan", "inf", ""];
  const axis = axisOf(column(cells));
  assert.equal(axis.isWords, false);
  assert.deepEqual(texts(axis).slice(0, 3), ["–", "inf", "nan"]);
  assert.ok(Math.max(...[40, 41, 42].map((at) => axis.places[at])) < axis.places[0]);
  assert.deepEqual([axis.places[39], axis.inSlot[39], axis.inSlot[40], axis.inSlot[42]], [1, 0, 1, 1]);
});

test("what does not vary, or has a word for each run, has no axis", () => {
  assert.equal(axisOf(column(["1", "1"])), null);
  assert.equal(axisOf(column([])), null);
  assert.equal(axisOf(column(Array.from({ length: 31 }, (_, at) => `name ${at}`))), null);
  assert.ok(axisOf(column(["1", ""])));
  assert.equal(axisOf(column(["True", "False"])).isWords, true);
});

test("numbers in words are ordered by size on an axis", () => {
  assert.deepEqual(texts(axisOf(column(["int16", "int8", "float32", "float16", "(1,13,2)", "(1,2,2)"]))), ["(1,2,2)", "(1,13,2)", "float16", "float32", "int8", "int16"]);
});

test("a few numbers are told apart by shape, many are a ramp", () => {
  const few = axisOf(column(["3", "1", "2", "1"]));
  assert.deepEqual([0, 1, 2].map((at) => lookOf(few, at).shape), ["triangle", "circle", "square"]);
  for (const cells of [["3", "1"], ["a", "b"], ["3", ""]]) {
    const axis = axisOf(column(cells));
    for (let place = 0; place < axis.places.length; place++) assert.equal(lookOf(axis, place).colour.length, 3);
  }
  const many = axisOf(column(Array.from({ length: 9 }, (_, at) => String(at))));
  assert.equal(many.kinds, null);
  assert.deepEqual([lookOf(many, 0).colour, lookOf(many, 8).colour], [rampColour(0), rampColour(1)]);
});

test("texts of one value are one word, and truths are no numbers", () => {
  assert.deepEqual(texts(axisOf(column(["True", "1", "1.0", "a", "False", ""]))), ["–", "False", "True / 1 / 1.0", "a"]);
  assert.equal(axisOf(column(["True", ...Array.from({ length: 40 }, (_, at) => String(at))])), null);
});

test("long words are cut, whatever their letters", () => {
  const axis = axisOf(column(["\u{1f600}".repeat(40), "a b\nc"]));
  assert.deepEqual(texts(axis), ["a b c", `${"\u{1f600}".repeat(15)}…`]);
});

test("a part of an axis and its words leave the same rows", () => {
  const many = Array.from({ length: 60 }, (_, at) => String(at / 8));
  const tables = [many, [...many, "nan", "inf", "", "same"], ["same", "valid", "1", "2", "", "[1, 2]", "it's", "True", "'7'"], ["1", "1000", "1000000", ""],
    ["9007199254740993", "9007199254740992", "1"], ["True", "1", "1.0", "a", "False", "", "[True]", "[1]"]];
  const language = { allowed: "", longest: 1000, elsewhere: {} };
  for (const cells of tables) {
    const some = column(cells);
    const axis = axisOf(some);
    const ends = [...new Set([0, 1, 0.5, 0.33, ...axis.places])];
    for (const low of ends) {
      for (const high of ends.filter((each) => each >= low)) {
        const words = wordsBetween(axis, low, high);
        const found = rowsWhere(words, cells.length, ["x"], (name) => (name === "x" ? some.value : null), language);
        assert.equal(found.error, undefined);
        assert.deepEqual([...found.mask], [...maskBetween(axis, low, high)], words);
      }
    }
  }
});

test("the rows in sight are drawn and some more, never more than sixty", () => {
  assert.deepEqual(rowWindow(0, 560, 20000, 28), { first: 0, count: 36 });
  assert.deepEqual(rowWindow(28 * 10000, 560, 20000, 28), { first: 9992, count: 36 });
  assert.deepEqual(rowWindow(28 * 20000, 560, 20000, 28), { first: 19964, count: 36 });
  assert.deepEqual(rowWindow(0, 560, 5, 28), { first: 0, count: 5 });
  assert.deepEqual(rowWindow(0, 560, 0, 28), { first: 0, count: 0 });
  assert.equal(rowWindow(0, 5000, 20000, 28).count, 60);
});

test("keys move inside the table and to its head", () => {
  const at = { row: 0, column: 1 };
  assert.deepEqual(stepTo("ArrowUp", at, 9, 3, 5), { row: -1, column: 1 });
  assert.deepEqual(stepTo("ArrowDown", { row: 8, column: 1 }, 9, 3, 5), { row: 8, column: 1 });
  assert.deepEqual(stepTo("PageDown", at, 9, 3, 5), { row: 5, column: 1 });
  assert.deepEqual(stepTo("End", at, 9, 3, 5), { row: 0, column: 2 });
  assert.deepEqual(stepTo("ArrowDown", { row: -1, column: 0 }, 0, 3, 5), { row: -1, column: 0 });
  assert.equal(stepTo("a", at, 9, 3, 5), null);
});

test("letters of East Asia are twice as wide, and no column is wider than a few words", () => {
  assert.equal(widthOf(column(["한글한글한글한글"])) - widthOf(column(["abcdefgh"])), 8);
  assert.equal(widthOf(column(["a".repeat(500)])), 36);
});

test("a page's address is safe whatever the name", () => {
  assert.equal(pageOf("a#b?c%d/e 한"), "a%23b%3Fc%25d%2Fe%20%ED%95%9C.html");
  assert.equal(pageOf("javascript:alert(1)"), "javascript%3Aalert(1).html");
});

test("the nearest point and line, not farther than asked", () => {
  const points = { x: [0, 10, 10], y: [0, 0, 5] };
  assert.equal(nearestPoint(points, [0, 1, 2], 9, 4, 14), 2);
  assert.equal(nearestPoint(points, [0, 1], 9, 4, 14), 1);
  assert.equal(nearestPoint(points, [0, 1, 2], 100, 100, 14), -1);
  assert.equal(nearestLine([0, 100], [100, 0], 0.25, [0, 1], 30, 7), 0);
  assert.equal(nearestLine([0, 100], [100, 0], 0.25, [0, 1], 70, 7), 1);
  assert.equal(nearestLine([0, 100], [100, 0], 0.25, [0, 1], 50, 7), -1);
});

test("runs in one place of words do not lie on each other, nor in another's place", () => {
  const words = axisOf(column(["same", "same", "valid", "same"], "pad"));
  const numbers = axisOf(column(["1", "2", "3", "1"], "stride"));
  const { x, y } = pointsOf({ left: 0, top: 0, width: 100, height: 100 }, words, numbers);
  assert.equal(new Set([x[0], x[1], x[3]]).size, 3);
  assert.ok([0, 1, 3].every((row) => x[row] > 0 && x[row] < 50) && x[2] > 50);
  assert.deepEqual([...y], [100, 50, 0, 100]);
  const all = Array.from({ length: 1000 }, (_, row) => jitter(row, 1));
  assert.ok(Math.min(...all) >= -0.5 && Math.max(...all) < 0.5 && Math.max(...all) - Math.min(...all) > 0.9);
});

function luminance(colour) {
  const parts = colour.map((value) => (value / 255 <= 0.04045 ? value / 255 / 12.92 : ((value / 255 + 0.055) / 1.055) ** 2.4));
  return 0.2126 * parts[0] + 0.7152 * parts[1] + 0.0722 * parts[2];
}

test("each colour can be told from light and from dark paper", () => {
  const contrast = (a, b) => (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05);
  const ramp = Array.from({ length: 21 }, (_, at) => rampColour(at / 20));
  for (const colour of [...TONES.map(rgbOf), ...ramp]) {
    for (const paper of ["#ffffff", "#16171b"]) assert.ok(contrast(luminance(colour), luminance(rgbOf(paper))) >= 3, `${colour} ${paper}`);
  }
});

test("no two words look alike, by colour and shape together", () => {
  const axis = axisOf(column(Array.from({ length: 30 }, (_, at) => `w${at}`)));
  const looks = Array.from({ length: 30 }, (_, at) => JSON.stringify(lookOf(axis, at)));
  assert.equal(new Set(looks).size, 30);
  const six = axisOf(column(Array.from({ length: 6 }, (_, at) => `w${at}`)));
  assert.equal(new Set(Array.from({ length: 6 }, (_, at) => lookOf(six, at).shape)).size, 6);
});

test("a stamp covers what its shape covers, and a picture only where it is", () => {
  for (const shape of SHAPES) {
    const { side, coverage } = stampOf(shape, 5);
    const area = coverage.reduce((sum, each) => sum + each, 0);
    assert.ok(area > 10 && area < side * side, shape);
    assert.equal(isInside(shape, 3, 3), false);
  }
  const picture = { width: 9, height: 9, data: new Uint8ClampedArray(4 * 81) };
  putStamp(picture, stampOf("square", 3), 0, 0, [10, 20, 30], 1);
  assert.deepEqual([...picture.data.slice(0, 4)], [10, 20, 30, 255]);
  assert.equal(picture.data[4 * 80 + 3], 0);
});

test("lines that are counted cross every column of pixels as often as there are lines", () => {
  const [first, second] = [[0, 10, 10, 3], [10, 0, 0, 3]];
  const counts = bundles((row) => first[row], (row) => second[row], [0, 1, 2, 3], 12);
  assert.deepEqual([counts[10], counts[120], counts[39]], [1, 2, 1]);
  const density = new Float32Array(20 * 12);
  addBundles(density, 20, 0, 20, counts, 12);
  for (let x = 0; x < 20; x++) {
    const sum = Array.from({ length: 12 }, (_, y) => density[y * 20 + x]).reduce((a, b) => a + b);
    assert.ok(Math.abs(sum - 4) < 1e-5, `${x} ${sum}`);
  }
  const steep = new Float32Array(4 * 12);
  addBundles(steep, 4, 0, 4, bundles(() => 0, () => 10, [0, 1], 12), 12);
  assert.ok(Math.abs(steep.reduce((a, b) => a + b) - 2 * 4) < 1e-5);
  assert.ok(Array.from({ length: 10 }, (_, y) => steep.slice(4 * y, 4 * y + 4).some(Boolean)).every(Boolean));
});

test("an end moves to the next value, and a whole axis is no filter", () => {
  assert.equal(nextPlace([0.25, 0.75], 1, false), 0.75);
  assert.equal(nextPlace([0.25, 0.75], 0.25, true), 0.75);
  assert.equal(nextPlace([0.25], 0, false), 0);
  assert.ok(Math.abs(nextPlace(Array.from({ length: 900 }, (_, at) => at / 900), 1, false) - 0.98) < 1e-12);
  assert.deepEqual(movedRange(null, "high", 0.5), [0, 0.5]);
  assert.deepEqual(movedRange([0.2, 0.5], "low", 0.9), [0.5, 0.5]);
  assert.equal(movedRange([0, 0.5], "high", 1), null);
});

test("results have an axis before the last of many settings", () => {
  assert.deepEqual(axesAmong(["a", "b", "c", "seconds", "d", "accuracy"], 4), ["a", "b", "seconds", "accuracy"]);
  assert.deepEqual(axesAmong(["a", "b"], 4), ["a", "b"]);
});

test("the first plot is a result over a setting", () => {
  const axes = [["seed", ["1", "2"]], ["pad", ["a", "b"]], ["stride", ["1", "2"]], ["seconds", ["0.1", "0.2"]]];
  const made = axes.map(([name, cells]) => axisOf(column(cells, name)));
  assert.deepEqual(firstAxes(made, ["seconds", "status"]), { across: "stride", up: "seconds", colour: "pad" });
  assert.deepEqual(firstAxes(made.slice(0, 1), []), { across: "seed", up: "seed", colour: "" });
});

test("a command says filter, axes, order and columns, each a word of a shell", () => {
  const { where, line } = commandOf("pad == 'same'", ["1 <= stride <= 2", "x == null or x == 1"], { name: "seconds", down: true }, ["run", "conv.pad"]);
  assert.equal(where, "(pad == 'same') and (1 <= stride <= 2) and (x == null or x == 1)");
  assert.equal(line, `convpipe runs . --where '(pad == '\\''same'\\'') and (1 <= stride <= 2) and (x == null or x == 1)' --sort=-seconds --columns run,conv.pad`);
  assert.equal(commandOf("", [], null, ["run"]).line, "convpipe runs . --columns run");
  assert.equal(shellWord("a b"), "'a b'");
});

test("the nearest name is that of Python's difflib", () => {
  assert.ok(Math.abs(likeness("stride", "strid") - 10 / 11) < 1e-12);
  assert.equal(likeness("", ""), 1);
  assert.equal(didYouMean("strid", ["pad", "stride"], {}), "did you mean stride?");
  assert.equal(didYouMean("padding", ["pad", "x"], { padding: "pad" }), "did you mean pad?");
  assert.equal(didYouMean("zzz", ["pad", "stride"], {}), "");
  assert.equal(didYouMean("constructor", ["pad"], {}), "");
});

test("the ends of an output may be no finite numbers, and a text's mark is not shown", () => {
  const low = column(["nan", "-inf", "3.5", "", "1"], "min");
  assert.deepEqual(low.values.slice(1, 4), [-Infinity, 3.5, 1n]);
  assert.deepEqual([...sortedRows(low, false)], [1, 4, 2, 0, 3]);
  assert.deepEqual([...sortedRows(low, true)], [2, 4, 1, 0, 3]);
  const axis = axisOf(low);
  assert.ok(axis.places.every((place) => place >= 0 && place <= 1));
  const language = { allowed: "", longest: 1000, elsewhere: {} };
  const words = wordsBetween(axis, 0, 1);
  const found = rowsWhere(words, 5, ["min"], () => low.value, language);
  assert.deepEqual([found.error, [...found.mask]], [undefined, [1, 1, 1, 1, 1]], words);
  const marked = column(["'7", "'=1+1", "a"]);
  assert.deepEqual([0, 1, 2].map(marked.text), ["7", "=1+1", "a"]);
  assert.deepEqual([0, 1, 2].map(marked.value), ["7", "=1+1", "a"]);
  assert.equal(csvOf([marked], [0, 1]), "x\n'7\n'=1+1\n");
});
