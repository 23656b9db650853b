// Scales: where a column's values stand along an axis, from 0 to 1, and which of them are written beside it.
// What is no number (words, lists, truths, and what a run lacks) has places of its own, in the order of sorting.
import { compareValues } from "./columns.mjs";
import { short } from "./numbers.mjs";
import { missing, pythonText, quoted } from "./python.mjs";

export const GAP_TEXT = "–";
const MOST_WORDS = 30;
const FEW_NUMBERS = 12;
const MOST_SIDE_WORDS = 5;
const SIDE_WORD = 0.09;
const MOST_KINDS = 8;
const LOG_BEYOND = 100;
const LONGEST_TICK = 16;

function isNumberValue(value) {
  return typeof value === "bigint" || Number.isFinite(value);
}

// Steps of 1, 2 or 5 times a power of ten: at most so many of them between two numbers.
export function niceSteps(low, high, most, whole = false) {
  if (!(high > low)) return [low];
  const rough = (high - low) / most;
  const power = 10 ** Math.floor(Math.log10(rough));
  const found = [1, 2, 5, 10].map((factor) => factor * power).find((step) => step >= rough * (1 - 1e-9));
  const step = whole ? Math.max(1, Math.round(found)) : found;
  const first = Math.ceil(low / step - 1e-9);
  const last = Math.floor(high / step + 1e-9);
  return Array.from({ length: last - first + 1 }, (_, at) => Number(((first + at) * step).toPrecision(12)));
}

// Powers of ten between two numbers, or, where those are few, 1, 2 and 5 times them.
export function powerSteps(low, high, most) {
  const [first, last] = [Math.ceil(Math.log10(low) - 1e-9), Math.floor(Math.log10(high) + 1e-9)];
  const every = Math.max(1, Math.ceil((last - first + 1) / most));
  const powers = [];
  for (let power = first; power <= last; power += every) powers.push(Number(`1e${power}`));
  return powers;
}

function cutWord(text) {
  const marks = [...text.replace(/\s+/g, " ")];
  return marks.length > LONGEST_TICK ? `${marks.slice(0, LONGEST_TICK - 1).join("")}…` : marks.join("");
}

// A scale of numbers: {place(number), number(place), steps(most), isLog, mayBeLog}; even where asked.
export function numberScale(numbers, isEven = false) {
  const ends = numbers.reduce(([low, high], each) => [Math.min(low, each), Math.max(high, each)], [Infinity, -Infinity]);
  const mayBeLog = ends[0] > 0 && ends[1] / ends[0] > LOG_BEYOND;
  const isLog = mayBeLog && !isEven;
  const bent = isLog ? Math.log10 : (number) => number;
  const [low, high] = ends.map(bent);
  const whole = numbers.every(Number.isInteger);
  const own = numbers.length <= FEW_NUMBERS ? [...numbers].sort((a, b) => a - b) : null;
  return {
    isLog,
    mayBeLog,
    place: (number) => (high > low ? (bent(number) - low) / (high - low) : 0.5),
    number: (place) => (isLog ? 10 ** (low + place * (high - low)) : low + place * (high - low)),
    steps: (most) => own || (isLog ? powerSteps(...ends, most) : niceSteps(...ends, most, whole)),
  };
}

const AXES_OF = new WeakMap();

// The axis of a column: {column, places, inSlot, slot, ticks(most), isLog, isWords}; null where it has too many words.
// `kinds` are the different places where those are few. `places` and `inSlot` (whether that is the place of a word) have an entry for each text, and the last is a gap's.
export function axisOf(column) {
  if (!AXES_OF.has(column)) AXES_OF.set(column, madeAxis(column));
  return AXES_OF.get(column);
}

// Gives a column's axis even steps, or powers of ten again.
export function setEven(column, isEven) {
  column.isEven = isEven;
  AXES_OF.delete(column);
}

// A part of an axis on another axis of the same column: between the same numbers.
export function rangeOn(axis, former, range) {
  return range.map((place) => {
    const at = former.places.findIndex((each) => each === place);
    return at >= 0 ? axis.places[at] : axis.placeOf(former.numberAt(place));
  });
}

// Which word comes first on an axis: as in sorting, but with numbers in texts by their size: int8 before int16.
export function axisOrder(first, second) {
  if (typeof first !== "string" || typeof second !== "string") return compareValues(first, second);
  const [a, b] = [first, second].map((text) => text.split(/(\d+)/));
  for (let at = 0; at < Math.min(a.length, b.length); at++) {
    const order = at % 2 ? Number(a[at]) - Number(b[at]) : compareValues(a[at], b[at]);
    if (order) return order;
  }
  return compareValues(first, second);
}

function madeAxis(column) {
  const { values, count, gaps } = column;
  if (count + Boolean(gaps) < 2) return null;
  const all = Array.from({ length: count }, (_, at) => at);
  const numbers = [...new Set(all.map((at) => values[at]).filter(isNumberValue).map(Number))];
  const words = all.filter((at) => !isNumberValue(values[at])).sort((a, b) => axisOrder(values[a], values[b]));
  const truths = words.some((at) => typeof values[at] === "boolean");
  const isMixed = truths || (words.length && (numbers.length <= FEW_NUMBERS || words.length > MOST_SIDE_WORDS));
  if (numbers.length > 1 && !isMixed) return numberAxis(column, numbers, gaps ? [count, ...words] : words);
  if (count > MOST_WORDS) return null;
  const ordered = all.sort((a, b) => axisOrder(values[a], values[b]));
  return wordAxis(column, gaps ? [count, ...ordered] : ordered);
}

function slotText(column, at) {
  return at === column.count ? GAP_TEXT : cutWord(column.texts[at]);
}

// Texts side by side in groups of the same value, such as 1, 1.0 and True.
function equalGroups(column, ordered) {
  const groups = [];
  for (const at of ordered) {
    const last = groups[groups.length - 1];
    const isSame = last && at < column.count && last[0] < column.count && !compareValues(column.values[last[0]], column.values[at]);
    if (isSame) last.push(at);
    else groups.push([at]);
  }
  return groups;
}

function wordAxis(column, ordered) {
  const places = new Float64Array(column.count + 1);
  const groups = equalGroups(column, ordered);
  const ticks = groups.map((group, slot) => {
    for (const at of group) places[at] = (slot + 0.5) / groups.length;
    return { at: places[group[0]], text: group.map((at) => slotText(column, at)).join(" / ") };
  });
  const inSlot = places.map(() => 1);
  const kinds = ticks.map((tick) => tick.at);
  return { column, places, inSlot, slot: 1 / groups.length, kinds, ticks: () => ticks, isLog: false, isWords: true };
}

function numberAxis(column, numbers, words) {
  const scale = numberScale(numbers, column.isEven);
  const start = words.length ? words.length * SIDE_WORD + 0.04 : 0;
  const places = Float64Array.from(column.values, (value) =>
    isNumberValue(value) ? start + (1 - start) * scale.place(Number(value)) : 0,
  );
  const inSlot = places.map(() => 0);
  const sides = words.map((at, slot) => {
    places[at] = (slot + 0.5) * SIDE_WORD;
    inSlot[at] = 1;
    return { at: places[at], text: slotText(column, at) };
  });
  const ticks = (most) => [
    ...sides,
    ...scale.steps(most).map((number) => ({ at: start + (1 - start) * scale.place(number), text: short(number) })),
  ];
  const kinds = numbers.length <= MOST_KINDS ? kindsOf(column, places) : null;
  // below the numbers, where words are, places are the same on either scale
  const numberAt = (place) => (place < start ? { below: place } : scale.number((place - start) / (1 - start)));
  const placeOf = (number) => (number.below === undefined ? start + (1 - start) * scale.place(number) : number.below);
  return { column, places, inSlot, slot: SIDE_WORD, kinds, ticks, isLog: scale.isLog, mayBeLog: scale.mayBeLog, isWords: false, numberAt, placeOf };
}

// The different places of a column's values, of a gap where it has one.
function kindsOf(column, places) {
  const used = column.gaps ? places : places.slice(0, column.count);
  return [...new Set(used)].sort((a, b) => a - b);
}

// Those of the ticks that leave so much room between them, the ends first.
export function thinned(ticks, least) {
  const kept = [];
  const ends = [ticks[0], ticks[ticks.length - 1]];
  for (const tick of [...ends, ...ticks.slice(1, -1)]) {
    if (tick && kept.every((each) => Math.abs(each.at - tick.at) >= least)) kept.push(tick);
  }
  return kept.sort((a, b) => a.at - b.at);
}

// Which rows stand between two places of an axis, as a byte each.
export function maskBetween(axis, low, high) {
  const { rows, place } = axis.column;
  const inside = Uint8Array.from(axis.places, (each) => (each >= low && each <= high ? 1 : 0));
  return Uint8Array.from({ length: rows }, (_, row) => inside[place(row)]);
}

// The same in the words of `--where`, by the values that are between: "0.1 <= x <= 0.5", "pad in ['same', 1]", "x == null".
// Where a column has words as well, those are kept from being compared with numbers.
export function wordsBetween(axis, low, high) {
  const { column, places, inSlot } = axis;
  const { name, values } = column;
  const within = (at) => places[at] >= low && places[at] <= high;
  const inside = Array.from({ length: column.count }, (_, at) => at).filter(within);
  const numbers = inside.filter((at) => !inSlot[at]).map((at) => values[at]);
  const others = inside.filter((at) => inSlot[at]).map((at) => values[at]).sort(compareValues).map(literalText);
  const parts = [];
  if (numbers.length) {
    const [first, last] = [1, -1].map((sign) => pythonText(numbers.reduce((best, each) => (sign * compareValues(each, best) < 0 ? each : best))));
    const between = first === last ? `${name} == ${first}` : `${first} <= ${name} <= ${last}`;
    const words = values.slice(0, column.count).filter((_, at) => inSlot[at]);
    const safely = `(${name} not in [${words.map(literalText).join(", ")}] and ${between})`;
    parts.push(words.length ? safely : between);
  }
  if (others.length) parts.push(others.length > 1 ? `${name} in [${others.join(", ")}]` : `${name} == ${others[0]}`);
  if (column.gaps && within(column.count)) parts.push(`${name} == null`);
  return parts.join(" or ") || "0";
}

// A value as an expression has it.
export function literalText(value) {
  if (value === missing) return "null";
  if (value === Infinity || value === -Infinity) return value < 0 ? "-1e999" : "1e999";
  return typeof value === "string" ? quoted(value) : pythonText(value);
}

// Calls with an element's width as soon as it has one, and when it changes; not while something is measured.
export function whenWide(node, act) {
  let known = 0;
  new ResizeObserver(() => {
    if (node.clientWidth === known || !node.clientWidth) return;
    known = node.clientWidth;
    act(known);
  }).observe(node);
}
