import assert from "node:assert/strict";
import { test } from "node:test";
import { short } from "../../convpipe/report/page/numbers.mjs";

test("whole numbers are whole, however large", () => {
  assert.deepEqual([0n, -9n, 2n ** 63n - 1n].map(short), ["0", "-9", "9223372036854775807"]);
});

test("floats have six digits, as Python's .6g", () => {
  const told = { 8.90804216353093: "8.90804", 0.1: "0.1", 1234567: "1.23457e+06", 0.00001234: "1.234e-05", 1e-300: "1e-300" };
  for (const [value, text] of Object.entries(told)) assert.equal(short(Number(value)), text);
  assert.deepEqual([-0, NaN, Infinity, -Infinity, -2.5].map(short), ["0", "nan", "inf", "-inf", "-2.5"]);
});

test("a half goes to the even digit", () => {
  assert.deepEqual([100000.5, 100001.5, 1234.125, 0.5, 2.5].map(short), ["100000", "100002", "1234.12", "0.5", "2.5"]);
});
