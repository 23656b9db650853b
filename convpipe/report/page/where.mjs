// A filter in the words of `convpipe runs --where`, with the same answers and, where JavaScript knows them, the same errors.
import { parsed } from "./grammar.mjs";
import { didYouMean, nearestName } from "./hints.mjs";
import { arithmetic, holdsItem, equalValues, escapedMark, FUNCTIONS, itemAt, mistake, signedValue, orderedValues, quoted, truthOf } from "./python.mjs";

const WORDS = { true: true, false: false, null: null, none: null };
const MOST_SHOWN = 80;
const SHAPE = /^\(\d+(?:,\d+)*,?\)$/;
// The settings that say which choice of its group a config has.
const NAMES_IT = ["source", "operation", "kind", "stages"];

// A tree as a function that is given another, which knows what a name stands for.
export function compiled(node) {
  return FORMS[node.kind](node);
}

const FORMS = {
  constant: ({ value }) => () => value,
  name: ({ name }) => (look) => look(name),
  list: ({ parts }) => gatheredParts(parts),
  both: ({ parts }) => severalParts(parts, "every"),
  either: ({ parts }) => severalParts(parts, "some"),
  compare: chainedNode,
  binary({ sign, left, right }) {
    const [first, second] = [compiled(left), compiled(right)];
    return (look) => arithmetic(sign, first(look), second(look));
  },
  unary({ sign, part }) {
    const operand = compiled(part);
    return sign === "not" ? (look) => !truthOf(operand(look)) : (look) => signedValue(sign, operand(look));
  },
  item({ whole, part }) {
    const [first, second] = [compiled(whole), compiled(part)];
    return (look) => itemAt(asListed(first(look)), second(look));
  },
  call({ name, parts }) {
    if (!Object.hasOwn(FUNCTIONS, name)) throw mistake("not Call");
    const operands = gatheredParts(parts);
    return (look) => FUNCTIONS[name](...operands(look).map(asListed));
  },
};

function gatheredParts(parts) {
  const operands = parts.map(compiled);
  return (look) => operands.map((operand) => operand(look));
}

// `and` and `or`: looked at only as far as needed.
function severalParts(parts, method) {
  const operands = parts.map(compiled);
  return (look) => operands[method]((operand) => truthOf(operand(look)));
}

// A shape of a table, which is a text, as a list; other values as they are.
export function asListed(value) {
  return typeof value === "string" && SHAPE.test(value) ? value.match(/\d+/g).map(BigInt) : value;
}

function alikeValues(left, right) {
  return typeof left === "string" && typeof right === "string" ? [left, right] : [asListed(left), asListed(right)];
}

function relationHolds(sign, left, right) {
  if (sign === "==" || sign === "!=") return equalValues(left, right) === (sign === "==");
  if (sign === "in" || sign === "not in") return holdsItem(right, left) === (sign === "in");
  return orderedValues(sign, left, right);
}

function chainedNode({ signs, parts }) {
  const operands = parts.map(compiled);
  return (look) => {
    let left = operands[0](look);
    for (let at = 0; at < signs.length; at++) {
      const right = operands[at + 1](look);
      if (!relationHolds(signs[at], ...alikeValues(left, right))) return false;
      left = right;
    }
    return true;
  };
}

// Which column a name means, whole, as a group's choice, or by its last part; or which word it is.
export function meaning(name, known, elsewhere) {
  if (known.includes(name)) return { column: name };
  const chosen = NAMES_IT.map((below) => `${name}.${below}`).find((key) => known.includes(key));
  if (chosen) return { column: chosen };
  if (Object.hasOwn(WORDS, name.toLowerCase())) return { value: WORDS[name.toLowerCase()] };
  const ends = known.filter((each) => each.endsWith(`.${name}`));
  if (ends.length === 1) return { column: ends[0] };
  if (ends.length) throw mistake(`${name} could be ${ends.sort().join(" or ")}`, { key: "where.several", values: { name, names: ends.join(", ") } });
  const lasts = known.map((each) => each.slice(each.lastIndexOf(".") + 1));
  const hint = didYouMean(name, [...known, ...lasts], elsewhere);
  const near = nearestName(name, [...known, ...lasts], elsewhere);
  const why = { key: near ? "where.near" : "where.quotes", values: { name, near, text: quoted(name) }, name };
  throw mistake(`no ${name} here; ${hint || `a text needs quotes: ${quoted(name)}`}`, why);
}

// A text in an error line: on one line, not too long, of a path the folders cut.
function inOneLine(text) {
  const words = text.split(/\s+/).filter(Boolean).join(" ");
  const marks = [...[...words].map(escapedMark).join("")];
  if (marks.length <= MOST_SHOWN) return marks.join("") || "nothing";
  const left = MOST_SHOWN - 3;
  return text.includes("/") ? `...${marks.slice(-left).join("")}` : `${marks.slice(0, left).join("")}...`;
}

function refused(text, expected, hint) {
  const tail = hint ? ` (${[...hint].map(escapedMark).join("")})` : "";
  return `--where: got ${inOneLine(text)}, expected ${expected}${tail}`;
}

function attempted(text, expected, key, act) {
  try {
    return { value: act() };
  } catch (error) {
    if (!error.mistake && !(error instanceof RangeError)) throw error;
    return { error: refused(text, expected, error.message), why: error.why || { key, values: {} } };
  }
}

// For which rows an expression holds: {mask}, of a byte a row, or {error, why}: Python's line, and a key of the page's words with values.
// `valueOf(column)` gives a function of the row; `language` says what is allowed, and other tools' names.
export function rowsWhere(text, count, known, valueOf, language) {
  const allowed = `an expression of ${language.allowed}`;
  if ([...text].length > language.longest) {
    const why = { key: "where.long", values: { most: language.longest } };
    return { error: refused(text, `an expression of at most ${language.longest} characters`), why };
  }
  const found = attempted(text, allowed, "where.unread", () => compiled(parsed(text)));
  if (found.error) return found;
  const mask = new Uint8Array(count);
  const readers = new Map();
  let row = 0;
  const look = (name) => {
    if (!readers.has(name)) {
      const { column, value } = meaning(name, known, language.elsewhere);
      readers.set(name, column === undefined ? () => value : valueOf(column));
    }
    return readers.get(name)(row);
  };
  const done = attempted(text, "values that go together in it", "where.apart", () => {
    for (; row < count; row++) {
      const value = found.value(look);
      mask[row] = truthOf(value) && value === value ? 1 : 0;
    }
  });
  return done.error ? done : { mask };
}
