// Reads questions from standard input, a JSON list, and writes the answers of the page's modules: for test_page_forms.py.
import { readFileSync } from "node:fs";
import { readsOf, resultOf, stepsOf, textOf } from "../../convpipe/report/page/forms.mjs";
import { short } from "../../convpipe/report/page/numbers.mjs";
import { precise } from "../../convpipe/report/page/precise.mjs";

// whole numbers come as texts, floats as their eight bytes
function number(told) {
  if (typeof told === "string") return BigInt(told);
  return new Float64Array(new Uint8Array(told).buffer)[0];
}

const answers = {
  short: ({ values }) => values.map((value) => short(number(value))),
  precise: ({ values }) => values.map((value) => precise(number(value))),
  form: ({ form, at, values, names, steps }) => {
    const valueAt = (input, cell) => number(values[`${input}:${cell.join(",")}`]);
    const text = textOf(form, at, valueAt, (input) => names[input]);
    const found = { reads: readsOf(form, at), text, result: short(resultOf(form, at, valueAt)) };
    return steps ? { ...found, steps: stepsOf(form, at, valueAt) } : found;
  },
};

const questions = JSON.parse(readFileSync(0, "utf8"));
process.stdout.write(JSON.stringify(questions.map((question) => answers[question.kind](question))));
