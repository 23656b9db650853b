// What the stages after the sums make of one of them, each as lines: its steps, and what it comes to.
import { exactly } from "./cell.mjs";
import { stepsOf, textOf } from "./forms.mjs";
import { short } from "./numbers.mjs";

export function linesOfStages(conv, arrays, { n, f, at }) {
  let before = exactly(arrays.sums, [n, ...at, f]);
  return conv.later.flatMap(({ op, form, f: axis }, index) => {
    const value = before, made = short((before = exactly(arrays[`later_${index}`], [n, ...at, f])));
    if (!form) return [`${op}: ${op}(${short(value)}) = ${made}`];
    const place = Array(form.rank).fill(0).map((_, letter) => (letter === (axis ?? form.rank - 1) ? f : 0));
    const valueOf = (input, indices) => (input === 0 ? value : exactly(arrays[input], indices));
    const steps = stepsOf(form, place, valueOf).map(([words, text]) => `${op}, ${words}: ${text}`);
    return [...steps, `${op}: ${textOf(form, place, valueOf)} = ${made}`];
  });
}
