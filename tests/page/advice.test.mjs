// What the page says of a filter beside Python's own words, and axes in powers of ten.
import assert from "node:assert/strict";
import { test } from "node:test";
import { kindAdvice, reasonOf } from "../../convpipe/report/page/advice.mjs";
import { columnFrom, nameWithUnit } from "../../convpipe/report/page/columns.mjs";
import { axisOf, numberScale, rangeOn, setEven, wordsBetween } from "../../convpipe/report/page/scales.mjs";
import { lookOf } from "../../convpipe/report/page/scatter.mjs";
import { rowsWhere } from "../../convpipe/report/page/where.mjs";

const LANGUAGE = { allowed: "", longest: 1000, elsewhere: {} };

function columnOf(name, cells, isText = false) {
  const texts = [...new Set(cells.filter(Boolean))];
  const places = cells.map((cell) => (cell ? texts.indexOf(cell) : texts.length));
  return columnFrom({ name, count: texts.length, gaps: cells.filter((cell) => !cell).length, texts }, cells.length, places, null, isText);
}

const COLUMNS = new Map(
  [
    columnOf("output_shape", ["(1,5,5,4)", "(1,2,2,4)"], true), columnOf("conv.pad", ["same", "1"]),
    columnOf("conv.stride", ["1", "2"]), columnOf("input.shape", ["[1, 3]", "[1, 8]"]), columnOf("input.dtype", ["int8", "int16"]),
  ].map((column) => [column.name, column]),
);
const asked = (text) => rowsWhere(text, 2, [...COLUMNS.keys()], (name) => COLUMNS.get(name).value, LANGUAGE);
const advised = (text) => kindAdvice(text, (name) => COLUMNS.get(name));

test("a comparison that nothing can be equal to is said, with one that something is equal to", () => {
  const cases = {
    "output_shape == 1": ["where.is_text", "output_shape == '(1,5,5,4)'"],
    "2 == output_shape": ["where.is_text", "output_shape == '(1,5,5,4)'"],
    "conv.stride == 1 and not output_shape in [7]": ["where.is_text", "output_shape == '(1,5,5,4)'"],
    "conv.stride == '2'": ["where.is_number", "conv.stride == 2"],
    "input.shape != '[1, 8]'": ["where.is_list", "input.shape == [1, 8]"],
    "input.dtype == 8": ["where.is_text", "input.dtype == 'int8'"],
  };
  for (const [text, [key, use]] of Object.entries(cases)) {
    const { key: said, values } = advised(text);
    assert.deepEqual([said, values.use], [key, use], text);
    assert.deepEqual(Object.keys(asked(use)), ["mask"]);
    assert.equal(asked(use).mask.reduce((sum, each) => sum + each), 1, use);
  }
});

test("a shape is equal to its list, and to its text", () => {
  for (const text of ["output_shape == (1,5,5,4)", "[1, 5, 5, 4] == output_shape", "output_shape == '(1,5,5,4)'", "output_shape[1] == 5", "len(output_shape) == 4 and 5 in output_shape"]) {
    assert.deepEqual([...asked(text).mask], [1, 0], text);
  }
});

test("a comparison that something can be equal to, or that is none, is left alone", () => {
  const fine = ["output_shape == '(9,9)'", "output_shape == (9,9)", "output_shape in [[1,2,2,4]]", "conv.pad == 7", "conv.pad == 'x'", "conv.stride == null", "conv.stride < 3", "input.shape == [1]", "no_such == 1", "1 == 2"];
  for (const text of fine) assert.equal(advised(text), null, text);
});

test("why a filter is none has a key of the page's words", () => {
  const cases = {
    "conv.pad == same": ["where.quotes", { name: "same", text: "'same'" }],
    "input.dtype == INT8": ["where.quotes", { name: "INT8", text: "'int8'" }],
    "filters.kernel = 5": ["where.instead", { sign: "=", use: "==" }],
    "pad == 1 && stride == 1": ["where.instead", { sign: "&&", use: "and" }],
    "pad == 1 | stride == 1": ["where.instead", { sign: "|", use: "or" }],
    "pad is 1": ["where.instead", { sign: "is", use: "==" }],
    "pad == \u201csame\u201d": ["where.instead", { sign: "\u201c", use: "'" }],
    "(1": ["where.unread", {}],
    "'a' < 1": ["where.apart", {}],
    ["1 + ".repeat(400)]: ["where.long", { most: 1000 }],
  };
  for (const [text, [key, values]] of Object.entries(cases)) {
    const found = asked(text);
    assert.match(found.error, /^--where: got /);
    const said = reasonOf(found.why, [...COLUMNS.values()]);
    assert.deepEqual([said.key, said.values], [key, values], text);
  }
  assert.equal(reasonOf(asked("strid == 1").why, []).values.near, "stride");
  const two = rowsWhere("dtype == 1", 1, ["a.dtype", "b.dtype"], () => () => 1n, LANGUAGE);
  assert.deepEqual(two.why, { key: "where.several", values: { name: "dtype", names: "a.dtype, b.dtype" } });
});

test("more than two powers of ten are a scale of those, unless even steps are asked for", () => {
  const logs = [[[1, 100], false], [[1, 100.5], true], [[0, 1000], false], [[-1, 1000], false], [[0.000095, 0.028], true]];
  for (const [numbers, isLog] of logs) assert.deepEqual([numberScale(numbers).isLog, numberScale(numbers).mayBeLog], [isLog, isLog], numbers);
  const even = numberScale([1, 501, 1001], true);
  assert.deepEqual([even.isLog, even.mayBeLog, even.place(501)], [false, true, 0.5]);
});

test("what is chosen on an axis stays chosen when its steps change", () => {
  const cells = [...Array.from({ length: 40 }, (_, at) => String(1 + at ** 2)), "nan", ""];
  for (const [low, high] of [[0.3, 0.6], [0, 0.5], [0.05, 0.9]]) {
    const column = columnOf("x", cells);
    const before = axisOf(column);
    assert.equal(before.isLog, true);
    setEven(column, true);
    const after = axisOf(column);
    assert.equal(after.isLog, false);
    assert.equal(wordsBetween(after, ...rangeOn(after, before, [low, high])), wordsBetween(before, low, high));
    const exact = [before.places[3], before.places[9]];
    assert.equal(wordsBetween(after, ...rangeOn(after, before, exact)), "10 <= x <= 82".replace(/^/, "(x not in ['nan'] and ") + ")");
  }
});

test("a word has a look whether or not some run lacks one", () => {
  for (const cells of [["same", "valid"], ["same", "valid", ""]]) {
    const axis = axisOf(columnOf("pad", cells));
    const looks = Array.from(axis.places, (_, place) => lookOf(axis, place));
    assert.ok(looks.every(({ colour }) => colour.length === 3));
  }
});

test("what is measured has a unit in its name", () => {
  assert.equal(nameWithUnit("seconds"), "seconds (s)");
  assert.equal(nameWithUnit("seconds", "log"), "seconds (s, log)");
  assert.equal(nameWithUnit("conv.stride", false), "conv.stride");
  assert.equal(nameWithUnit("constructor"), "constructor");
});
