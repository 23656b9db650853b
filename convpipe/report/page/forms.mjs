// How a cell comes about, of the facts of a form: the twin of convpipe/ops/kinds/places.py, forms.py and formulas.py.
// readsOf(form, at): [{name, input, cells, padding}], cells being indices, or null of padding that is not there.
// textOf(form, at, valueAt, nameOf): the formula with its numbers, without what it comes to.
// resultOf(form, at, valueAt): what it comes to, as `explain` has it; what is stored is that within rounding.
// valueAt(input, indices) gives a BigInt of an integer dtype, a Number of a float; nameOf(input) the name of a tensor.
import { short } from "./numbers.mjs";
import { precise } from "./precise.mjs";

const MOST_TERMS = 32;
const MOST_POWER = 64n;
const SIGN_RANKS = { ">=": 0, "<<": 0, ">>": 0, "&": 0, "|": 0, "+": 1, "-": 1, "*": 2, "/": 2, "//": 2, "**": 4 };
const STEP_WORDS = ["exp", "log", "sqrt", "tanh", "**"];
const ATOM_RANK = 9;

// Where cells are read

function placeAt([base, terms, over], numbers) {
  let sum = base;
  for (const [variable, times, by, modulo] of terms) {
    const part = Math.floor(numbers[variable] / by);
    sum += times * (modulo ? part % modulo : part);
  }
  return sum % over ? null : sum / over;
}

const modulus = (value, size) => ((value % size) + size) % size;

function foldedPlace(mode, place, size) {
  if (mode === "edge") return Math.min(Math.max(place, 0), size - 1);
  if (mode === "wrap") return modulus(place, size);
  const period = Math.max(2 * (size - 1), 1);
  const within = modulus(place, period);
  return within < size ? within : period - within;
}

function loopValues(loop, at) {
  if (typeof loop === "number") return [...Array(loop).keys()];
  const [padded, mode, before, size, of] = loop;
  return [...Array(padded).keys()].filter((place) => foldedPlace(mode, place - before, size) === at[of]);
}

function spotOf(read, numbers) {
  let outside = false, padding = false;
  const cell = [];
  for (let axis = 0; axis < read.places.length; axis++) {
    const size = read.sizes[axis];
    const [before, after] = read.pads ? read.pads[axis] : [0, 0];
    let place = placeAt(read.places[axis], numbers);
    if (place === null) return null;
    if (read.mode && (place < 0 || place >= size)) {
      place = foldedPlace(read.mode, place, size);
      padding = true;
    }
    if (place < -before || place >= size + after) return null;
    outside ||= place < 0 || place >= size;
    padding ||= Boolean(read.inner) && (place < read.inner[axis][0] || place >= read.inner[axis][1]);
    cell.push(place);
  }
  return { cell: outside ? null : mergedCell(read, cell), padding: outside || padding };
}

function mergedCell({ merged, sizes }, cell) {
  if (!merged) return cell;
  let axis = 0;
  return merged.map((count) => {
    let place = 0;
    for (const stop = axis + count; axis < stop; axis++) place = place * sizes[axis] + cell[axis];
    return place;
  });
}

export function readsOf(form, at) {
  const loops = (read) => read.places.some(([, terms]) => terms.some(([variable]) => variable >= form.rank));
  const looping = form.reads.filter(loops);
  const found = new Map(form.reads.map((read) => [read, []]));
  const turn = (numbers, depth, ranges) => {
    if (depth < ranges.length) {
      for (const value of ranges[depth]) turn([...numbers, value], depth + 1, ranges);
      return;
    }
    const there = looping.map((read) => spotOf(read, numbers));
    if (there.every(Boolean)) looping.forEach((read, index) => found.get(read).push(there[index]));
  };
  if (looping.length) turn(at, 0, form.loops.map((loop) => loopValues(loop, at)));
  for (const read of form.reads) {
    const spot = looping.includes(read) ? null : spotOf(read, at);
    if (spot) found.get(read).push(spot);
  }
  return form.reads
    .filter((read) => found.get(read).length || looping.includes(read))
    .map((read) => ({
      name: read.name,
      input: read.input,
      cells: found.get(read).map((spot) => spot.cell),
      padding: found.get(read).map((spot) => spot.padding),
    }));
}

// What a formula comes to: the values of functions and of sums, that are told on the way

const BITWISE = {
  "<<": (a, b) => a << b, ">>": (a, b) => a >> b, "&": (a, b) => a & b, "|": (a, b) => a | b, ">=": (a, b) => (a >= b ? 1n : 0n),
  "//": (a, b) => (a - (((a % b) + b) % b)) / b,
};
const ADDING = ["saturating", "pairs16"];
const MOST_WHOLE = 2n ** 62n;

const within = (value, low, high) => (value < low ? low : value > high ? high : value);
const addedUp = (values) => values.reduce((sum, value) => sum + value, 0n);

// A sum of terms of which so many at a time are added, or of pairs that are cut to 16 bits: as machine_numbers.py has it.
export function saturated(word, terms, [low, high, every = 2n]) {
  const count = Number(every);
  let found = 0n;
  for (let start = 0; start < terms.length; start += count) {
    const part = addedUp(terms.slice(start, start + count));
    found = word === "pairs16" ? found + within(part, -32768n, 32767n) : within(found + part, low, high);
  }
  return found;
}

const bitLength = (size) => size.toString(2).length;

// The nearest float32: of a large whole number the upper 50 bits, and whether anything follows, are rounded once.
function float32Of(value) {
  if (typeof value !== "bigint") return Math.fround(value);
  const size = value < 0n ? -value : value, fallen = BigInt(Math.max(0, bitLength(size) - 50));
  const kept = (size >> fallen) | (size & ((1n << fallen) - 1n) ? 1n : 0n);
  return Math.fround(Number(kept) * 2 ** Number(fallen)) * (value < 0n ? -1 : 1);
}

// The nearest whole number, of two the even one; 0 of NaN, and none beyond 2**62.
function wholeNear(value) {
  if (typeof value === "bigint") return within(value, -MOST_WHOLE, MOST_WHOLE);
  if (Number.isNaN(value)) return 0n;
  if (Math.abs(value) >= 2 ** 62) return value > 0 ? MOST_WHOLE : -MOST_WHOLE;
  const floor = Math.floor(value), rest = value - floor;
  return BigInt(rest > 0.5 || (rest === 0.5 && floor % 2) ? floor + 1 : floor);
}

function machineNumber(word, value) {
  const [, unsigned, bits] = /^wrap(u?)(\d+)$/.exec(word) || [];
  if (bits) return unsigned ? BigInt.asUintN(Number(bits), value) : BigInt.asIntN(Number(bits), value);
  return { f32: float32Of, f64: Number, rint: wholeNear }[word]?.(value);
}

const numberOf = (fact) => (typeof fact === "number" ? fact : /^-?\d+$/.test(fact) ? BigInt(fact) : Number(fact));

function combinedValues(sign, first, second) {
  if (BITWISE[sign]) return BITWISE[sign](first, second);
  if (typeof first === "bigint" && typeof second === "bigint") {
    if ("+-*".includes(sign)) return sign === "+" ? first + second : sign === "-" ? first - second : first * second;
    if (sign === "**" && second >= 0n && second <= MOST_POWER) return first ** second;
  }
  const [one, other] = [Number(first), Number(second)];
  if (sign === "+") return one + other;
  if (sign === "-") return one - other;
  if (sign === "*") return one * other;
  return sign === "/" ? one / other : one ** other;
}

function namesOf(of) {
  if (typeof of === "string") return [of];
  return Array.isArray(of) ? of.slice(1).flatMap(namesOf) : [];
}

function termCount(of, cells) {
  const counts = namesOf(of).map((name) => cells[name].length);
  return counts.includes(0) ? 0 : Math.max(...counts);
}

// Of floats with what each addition has lost (A. Neumaier, 1974), as Python adds fractions up.
export function preciseSum(values) {
  if (values.every((value) => typeof value === "bigint")) return values.reduce((sum, value) => sum + value, 0n);
  let sum = 0, lost = 0;
  for (const value of values.map(Number)) {
    const next = sum + value;
    lost += Math.abs(sum) < Math.abs(value) ? value - next + sum : sum - next + value;
    sum = next;
  }
  return Number.isFinite(sum) ? sum + lost : sum;
}

// How probable a standard normal variable is below x: a series near 0, a continued fraction in the tails.
function probabilityBelow(x) {
  const size = Math.abs(x), density = Math.exp((-size * size) / 2) / Math.sqrt(2 * Math.PI);
  let tail = size;
  if (size < 3) {
    let term = size, sum = size;
    for (let odd = 3; odd < 120; odd += 2) sum += term *= (size * size) / odd;
    tail = 0.5 - density * sum;
  } else {
    for (let step = 100; step > 0; step--) tail = size + step / tail;
    tail = size < Infinity ? density / tail : 0;
  }
  return x < 0 ? tail : 1 - tail;
}

const operandAt = (found, at) => found[at !== null && found.length > 1 ? at : 0];

function valueOf(of, cells, at = null) {
  if (typeof of === "string") return operandAt(cells[of], at).value;
  if (!Array.isArray(of)) return Number.isInteger(of) ? BigInt(of) : of;
  const [word, ...parts] = of;
  if (word === "sum") return preciseSum([...Array(termCount(parts[0], cells)).keys()].map((place) => valueOf(parts[0], cells, place)));
  if (ADDING.includes(word)) return saturated(word, [...Array(termCount(parts[0], cells)).keys()].map((place) => valueOf(parts[0], cells, place)), parts.slice(1).map((part) => valueOf(part, cells)));
  if (word === "count") return BigInt(cells[parts[0]].length);
  if (word === "max" || word === "min") {
    const all = parts.flatMap((part) =>
      typeof part === "string" ? cells[part].map((cell) => cell.value) : [valueOf(part, cells, at)]);
    if (!all.length) return cells.least[0].value;
    if (all.some((value) => value !== value)) return NaN;
    return all.reduce((best, value) => ((word === "max" ? value > best : value < best) ? value : best));
  }
  if (word === "?") return valueOf(parts[valueOf(parts[0], cells, at) < 0 ? 1 : 2], cells, at);
  const values = parts.map((part) => valueOf(part, cells, at));
  if (word in SIGN_RANKS) return values.length === 1 ? -values[0] : combinedValues(word, ...values);
  const held = machineNumber(word, values[0]);
  if (held !== undefined) return held;
  return word === "Phi" ? probabilityBelow(Number(values[0])) : Math[word](Number(values[0]));
}

// What it is told as

const inBrackets = (text, wanted) => (wanted ? `(${text})` : text);

function joinedTerms(texts, between) {
  if (!texts.length) return "nothing but padding";
  const rest = texts.length - MOST_TERMS;
  return [...texts.slice(0, MOST_TERMS), ...(rest > 0 ? [`(${rest} more)`] : [])].join(between);
}

const hasSteps = (of) => Array.isArray(of) && (STEP_WORDS.includes(of[0]) || of.slice(1).some(hasSteps));

const operandText = (cell) => inBrackets(cell.written || short(cell.value), cell.padding);

function signText(sign, [[first, left], [second, right]]) {
  const rank = SIGN_RANKS[sign], power = sign === "**", needed = BITWISE[sign] ? ATOM_RANK : rank;
  const one = inBrackets(first, left < needed || (power && (left === rank || first.startsWith("-"))));
  const other = inBrackets(second, right < needed || (right === rank && (sign === "-" || sign === "/")));
  return [power ? `${one}**${other}` : `${one} ${sign} ${other}`, rank];
}

function sumText(of, cells, worked) {
  const parts = [];
  for (let place = 0; place < termCount(of, cells); place++) parts.push(formulaText(of, cells, place, worked, true));
  if (parts.length === 1) return parts[0];
  return [joinedTerms(parts.map(([text, rank]) => inBrackets(text, rank < 1)), " + "), 1];
}

function formulaText(of, cells, at, worked, inner = false) {
  if (typeof of === "string") return [operandText(operandAt(cells[of], at)), ATOM_RANK];
  if (!Array.isArray(of)) return [short(of), ATOM_RANK];
  const [word, ...parts] = of;
  if (worked && inner && (STEP_WORDS.includes(word) || (word === "sum" && hasSteps(of)))) {
    return [short(valueOf(of, cells, at)), ATOM_RANK];
  }
  if (word === "?") return formulaText(parts[valueOf(parts[0], cells, at) < 0 ? 1 : 2], cells, at, worked, inner);
  if (word === "count") return [short(valueOf(of, cells)), ATOM_RANK];
  if (word === "sum") return sumText(parts[0], cells, worked);
  if (ADDING.includes(word)) return [`${word}(${sumText(parts[0], cells, worked)[0]})`, ATOM_RANK];
  const texts = () => parts.map((part) => formulaText(part, cells, at, worked, true));
  if (word in SIGN_RANKS && parts.length === 2) return signText(word, texts());
  if (word === "-") {
    const [text, rank] = texts()[0];
    return ["-" + inBrackets(text, rank < ATOM_RANK || text.startsWith("-")), 3];
  }
  const all = parts.flatMap((part) =>
    typeof part === "string" && cells[part].length !== 1
      ? cells[part].map(operandText)
      : [formulaText(part, cells, at, worked, true)[0]]);
  return [`${word}(${joinedTerms(all, ", ")})`, ATOM_RANK];
}

function chosenPart(of, cells) {
  if (Array.isArray(of) && of[0] === "?") return chosenPart(of[valueOf(of[1], cells) < 0 ? 2 : 3], cells);
  return of;
}

function operandsOf(form, at, reads, valueAt) {
  const cells = {};
  const operand = (value, padding) => ({ value, padding, written: form.steps && precise(value) });
  for (const [name, fact] of Object.entries(form.constants ?? {})) cells[name] = [operand(numberOf(fact))];
  for (const [name, axis, facts] of form.lists ?? []) {
    cells[name] = [facts[facts.length > 1 ? at[axis] : 0]].flat().map((fact) => operand(numberOf(fact)));
  }
  const filling = cells.padding ? cells.padding[0].value : 0n;
  for (const read of reads) {
    const values = read.cells.map((cell, index) => operand(cell ? valueAt(read.input, cell) : filling, read.padding[index]));
    cells[read.name] = [...(cells[read.name] ?? []), ...values];
  }
  for (const [name, of] of form.before ?? []) cells[name] = [operand(valueOf(of, cells))];
  return cells;
}

export const resultOf = (form, at, valueAt) => valueOf(form.formula, operandsOf(form, at, readsOf(form, at), valueAt));

// What is told on the way: [words, formula = what it comes to] of each step that has something to do.
export function stepsOf(form, at, valueAt) {
  if (!form.steps) return [];
  const cells = operandsOf(form, at, readsOf(form, at), valueAt), formulas = Object.fromEntries(form.before);
  return form.steps
    .filter(([name]) => Array.isArray(chosenPart(formulas[name], cells)))
    .map(([name, words]) => [words, `${formulaText(formulas[name], cells, null, false)[0]} = ${operandText(cells[name][0])}`]);
}

export function textOf(form, at, valueAt, nameOf = String) {
  const reads = readsOf(form, at);
  if (typeof form.formula === "string") {
    const { input, cells: [cell] } = reads.find((read) => read.name === form.formula);
    if (cell) return `${nameOf(input)}[${cell.join(",")}]`;
  }
  const cells = operandsOf(form, at, reads, valueAt);
  const chosen = chosenPart(form.formula, cells);
  const steps = Array.isArray(chosen) && chosen.slice(1).some(hasSteps);
  return [false, true].slice(0, steps ? 2 : 1).map((worked) => formulaText(form.formula, cells, null, worked)[0]).join(" = ");
}
