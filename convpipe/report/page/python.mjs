// Values as Python has them, and what its operators make of them: whole numbers are BigInt, floats are Number.
// `missing` stands for what a run lacks, as in convpipe/report/listing.py: it compares with nothing but None.
export const missing = Object.freeze({ missing: true });

// An error of who wrote the expression; `why`, {key, values}, says it in the page's words where those know more.
export function mistake(message, why = null) {
  return Object.assign(new Error(message), { mistake: true, why });
}

export function typeName(value) {
  if (value === missing) return "Missing";
  if (value === null) return "NoneType";
  if (Array.isArray(value)) return "list";
  return { bigint: "int", number: "float", boolean: "bool", string: "str" }[typeof value];
}

export function isNumeric(value) {
  return value === missing || ["bigint", "number", "boolean"].includes(typeof value);
}

function isWholeValue(value) {
  return typeof value === "bigint" || typeof value === "boolean";
}

// A number in arithmetic: truths are whole numbers, and what is missing is not a number.
function asNumber(value) {
  if (value === missing) return NaN;
  return typeof value === "boolean" ? BigInt(value) : value;
}

// Texts by code points, as UTF-16 has those from U+10000 on before U+E000.
export function compareTexts(first, second) {
  const most = Math.min(first.length, second.length);
  for (let at = 0; at < most; at++) {
    const [a, b] = [first.charCodeAt(at), second.charCodeAt(at)];
    if (a !== b) return rankOf(a) - rankOf(b);
  }
  return first.length - second.length;
}

function rankOf(unit) {
  if (unit < 0xd800) return unit;
  return unit < 0xe000 ? unit + 0x2000 : unit - 0x800;
}

export function equalValues(first, second) {
  if (first === missing || second === missing) return (first === missing ? second : first) === null;
  if (isNumeric(first) && isNumeric(second)) return asNumber(first) == asNumber(second);
  if (Array.isArray(first) && Array.isArray(second)) {
    return first.length === second.length && first.every((item, at) => identical(item, second[at]));
  }
  return first === second;
}

// In a list the same object counts as equal, even what compares with nothing.
function identical(first, second) {
  return (first === missing && second === missing) || equalValues(first, second);
}

function holdsOf(sign, order) {
  return { "<": order < 0, "<=": order <= 0, ">": order > 0, ">=": order >= 0 }[sign];
}

export function orderedValues(sign, first, second) {
  if (first === missing || second === missing) return false;
  if (isNumeric(first) && isNumeric(second)) {
    const [a, b] = [asNumber(first), asNumber(second)];
    return { "<": a < b, "<=": a <= b, ">": a > b, ">=": a >= b }[sign];
  }
  if (typeof first === "string" && typeof second === "string") return holdsOf(sign, compareTexts(first, second));
  if (Array.isArray(first) && Array.isArray(second)) {
    const at = first.findIndex((item, place) => place >= second.length || !identical(item, second[place]));
    if (at < 0 || at >= second.length) return holdsOf(sign, first.length - second.length);
    return orderedValues(sign, first[at], second[at]);
  }
  throw mistake(`'${sign}' not supported between instances of '${typeName(first)}' and '${typeName(second)}'`);
}

export function holdsItem(container, item) {
  if (container === missing) return false;
  if (Array.isArray(container)) return container.some((each) => identical(item, each));
  if (typeof container !== "string") throw mistake(`argument of type '${typeName(container)}' is not iterable`);
  if (typeof item === "string") return container.includes(item);
  throw mistake(`'in <string>' requires string as left operand, not ${typeName(item)}`);
}

function toFloat(number) {
  const float = Number(number);
  if (typeof number === "bigint" && !Number.isFinite(float)) throw mistake("int too large to convert to float");
  return float;
}

function wholeFloor(first, second) {
  const quotient = first / second;
  return first % second !== 0n && first < 0n !== second < 0n ? quotient - 1n : quotient;
}

// The nearest float to a quotient of whole numbers: 64 bits of it, and whether anything follows.
function wholeQuotient(first, second) {
  const [a, b] = [first < 0n ? -first : first, second < 0n ? -second : second];
  if (a < 2n ** 53n && b < 2n ** 53n) return Number(first) / Number(second);
  const shift = BigInt(Math.max(0, 64 + b.toString(2).length - a.toString(2).length));
  const scaled = a << shift;
  const bits = scaled / b;
  let float = Number(scaled % b ? bits | 1n : bits);
  for (let left = Number(shift); left > 0; left -= 1000) float /= 2 ** Math.min(left, 1000);
  if (!Number.isFinite(float)) throw mistake("integer division result too large for a float");
  return first < 0n === second < 0n ? float : -float;
}

function floatDivmod(first, second) {
  let rest = first % second;
  let quotient = (first - rest) / second;
  if (rest && second < 0 !== rest < 0) {
    rest += second;
    quotient -= 1;
  }
  if (rest === 0) rest = second < 0 ? -0 : 0;
  const floor = Math.floor(quotient);
  return [quotient ? (quotient - floor > 0.5 ? floor + 1 : floor) : 0 * (first / second), rest];
}

const WHOLE_SIGNS = {
  "+": (a, b) => a + b, "-": (a, b) => a - b, "*": (a, b) => a * b, "/": wholeQuotient, "//": wholeFloor,
  "%": (a, b) => a - b * wholeFloor(a, b),
};
const FLOAT_SIGNS = {
  "+": (a, b) => a + b, "-": (a, b) => a - b, "*": (a, b) => a * b, "/": (a, b) => a / b,
  "//": (a, b) => floatDivmod(a, b)[0], "%": (a, b) => floatDivmod(a, b)[1],
};

export function arithmetic(sign, first, second) {
  if (!isNumeric(first) || !isNumeric(second)) {
    throw mistake(`arithmetic of ${pythonText(first, true)} and ${pythonText(second, true)}`);
  }
  const [a, b] = [asNumber(first), asNumber(second)];
  const whole = typeof a === "bigint" && typeof b === "bigint";
  const operands = whole ? [a, b] : [toFloat(a), toFloat(b)];
  if ("//%".includes(sign) && operands[1] == 0) throw mistake("division by zero");
  return (whole ? WHOLE_SIGNS : FLOAT_SIGNS)[sign](...operands);
}

export function truthOf(value) {
  if (value === missing || value === null) return false;
  if (Array.isArray(value) || typeof value === "string") return value.length > 0;
  return value !== 0n && value !== 0 && value !== false;
}

export function signedValue(sign, value) {
  if (!isNumeric(value)) throw mistake(`bad operand type for unary ${sign}: '${typeName(value)}'`);
  return sign === "-" ? -asNumber(value) : asNumber(value);
}

export function itemAt(whole, part) {
  if (whole === missing) return missing;
  const isText = typeof whole === "string";
  if (!isText && !Array.isArray(whole)) throw mistake(`'${typeName(whole)}' object is not subscriptable`);
  if (!isWholeValue(part)) {
    const kinds = isText ? "string indices must be integers" : "list indices must be integers or slices";
    throw mistake(`${kinds}, not ${isText ? `'${typeName(part)}'` : typeName(part)}`);
  }
  const items = isText ? [...whole] : whole;
  if (BigInt.asIntN(64, BigInt(part)) !== BigInt(part)) throw mistake("cannot fit 'int' into an index-sized integer");
  const item = items.at(Number(part));
  if (item === undefined) throw mistake(`${isText ? "string" : "list"} index out of range`);
  return item;
}

function iterated(value) {
  if (value === missing) return [missing];
  if (typeof value === "string" || Array.isArray(value)) return [...value];
  throw mistake(`'${typeName(value)}' object is not iterable`);
}

function extremeOf(name, sign) {
  return (...given) => {
    if (!given.length) throw mistake(`${name} expected at least 1 argument, got 0`);
    const among = given.length === 1 ? iterated(given[0]) : given;
    if (!among.length) throw mistake(`${name}() arg is an empty sequence`);
    return among.reduce((best, each) => (orderedValues(sign, each, best) ? each : best));
  };
}

function onlyOne(name, given) {
  if (given.length !== 1) throw mistake(`${name}() takes exactly one argument (${given.length} given)`);
  return given[0];
}

function absoluteOf(...given) {
  const value = onlyOne("abs", given);
  if (!isNumeric(value)) throw mistake(`bad operand type for abs(): '${typeName(value)}'`);
  const number = asNumber(value);
  return number < 0 ? -number : number;
}

function lengthOf(...given) {
  const value = onlyOne("len", given);
  if (value === missing) return 0n;
  if (isNumeric(value) || value === null) throw mistake(`object of type '${typeName(value)}' has no len()`);
  return BigInt([...value].length);
}

export const FUNCTIONS = { min: extremeOf("min", "<"), max: extremeOf("max", ">"), abs: absoluteOf, len: lengthOf };

// A float as Python writes it.
function floatText(value) {
  if (!Number.isFinite(value)) return Number.isNaN(value) ? "nan" : value > 0 ? "inf" : "-inf";
  if (Object.is(value, -0)) return "-0.0";
  const [digits, exponent] = value.toExponential().split("e");
  const power = Number(exponent);
  if (value !== 0 && (power < -4 || power >= 16)) {
    return `${digits}e${power < 0 ? "-" : "+"}${String(Math.abs(power)).padStart(2, "0")}`;
  }
  if (power < 0 && value !== 0) return value.toFixed(digits.replace(/[-.]/g, "").length - 1 - power);
  return Number.isInteger(value) ? `${value}.0` : String(value);
}

const ESCAPES = { "\\": "\\\\", "\n": "\\n", "\r": "\\r", "\t": "\\t" };

// A text in the quotes that Python would take.
export function quoted(text) {
  const quote = text.includes("'") && !text.includes('"') ? '"' : "'";
  const marks = [...text].map((mark) => (mark === quote ? `\\${mark}` : ESCAPES[mark] || escapedMark(mark)));
  return quote + marks.join("") + quote;
}

// What has no shape of its own, as an escape.
export function escapedMark(mark) {
  if (!/[\p{C}\p{Z}]/u.test(mark) || mark === " ") return mark;
  const code = mark.codePointAt(0);
  const digits = code < 0x100 ? 2 : code < 0x10000 ? 4 : 8;
  return `\\${{ 2: "x", 4: "u", 8: "U" }[digits]}${code.toString(16).padStart(digits, "0")}`;
}

// A value as Python prints it, within a list or an error in quotes where it is a text.
export function pythonText(value, inside = false) {
  if (value === missing) return "nan";
  if (value === null) return "None";
  if (Array.isArray(value)) return `[${value.map((item) => pythonText(item, true)).join(", ")}]`;
  if (typeof value === "boolean") return value ? "True" : "False";
  if (typeof value === "number") return floatText(value);
  return typeof value === "string" && inside ? quoted(value) : String(value);
}
