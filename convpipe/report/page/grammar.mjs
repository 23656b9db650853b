// The expressions of `--where`, as convpipe/config/expressions.py has them: a text becomes a tree of
// {kind: constant | name | list | both | either | compare | binary | unary | item | call, ...}.
import { mistake } from "./python.mjs";

const NUMBER = /0[xX](?:_?[\da-fA-F])+|0[oO](?:_?[0-7])+|0[bB](?:_?[01])+|(?:\d(?:_?\d)*\.?(?:\d(?:_?\d)*)?|\.\d(?:_?\d)*)(?:[eE][+-]?\d(?:_?\d)*)?/y;
const WORD = /[\p{ID_Start}_][\p{ID_Continue}]*/uy;
const SIGN = /\/\/|<=|>=|==|!=|[-+*/%<>()[\],.]/y;
const QUOTE = /([rRuU]?)('''|"""|'|")/y;
const SPACE = /(?:[ \t\f]|#[^\n]*)+/y;
const AFTER_NUMBER = /and\b|in\b|or\b|not\b/y;
const KEYWORDS = new Set(
  ("and or not in is if else elif for while lambda def class return yield await async import from as with try except " +
    "finally raise global nonlocal del pass break continue assert").split(" "),
);
const CONSTANTS = new Map([["True", true], ["False", false], ["None", null]]);
const DEEPEST = 200;
const FOREIGN = { "=": "==", "&&": "and", "&": "and", "||": "or", "|": "or", "!": "not", "≠": "!=", "≤": "<=", "≥": ">=", "“": "'", "”": "'", "‘": "'", "’": "'", "{": "[", "}": "]" };
const SIMPLE = { n: "\n", t: "\t", r: "\r", a: "\x07", b: "\b", f: "\f", v: "\v", "\\": "\\", "'": "'", '"': '"', "\n": "" };

function matchAt(pattern, text, at) {
  pattern.lastIndex = at;
  return pattern.exec(text);
}

function literalNumber(text) {
  const plain = text.replaceAll("_", "");
  if (/^0[xXoObB]/.test(plain)) return BigInt(plain);
  if (/[.eE]/.test(plain)) return Number(plain);
  if (/^0\d*[1-9]/.test(plain)) throw mistake("leading zeros in decimal integer literals are not permitted");
  return BigInt(plain);
}

// A character behind a backslash: what it stands for, and how many characters it takes.
function escapeAt(text, at) {
  const mark = text[at];
  if (mark in SIMPLE) return [SIMPLE[mark], 1];
  const octal = /^[0-7]{1,3}/.exec(text.slice(at, at + 3));
  if (octal) return [String.fromCodePoint(parseInt(octal[0], 8)), octal[0].length];
  const digits = { x: 2, u: 4, U: 8 }[mark];
  if (!digits) return mark === "N" ? [null, 0] : [`\\${mark}`, 1];
  const code = text.slice(at + 1, at + 1 + digits);
  const whole = code.length === digits && /^[\da-fA-F]+$/.test(code) && parseInt(code, 16) <= 0x10ffff;
  return whole ? [String.fromCodePoint(parseInt(code, 16)), digits + 1] : [null, 0];
}

// A text in quotes: its value and where it ends.
function textAt(text, start, raw, quote) {
  let value = "";
  for (let at = start; at < text.length; ) {
    if (text.startsWith(quote, at)) return [value, at + quote.length];
    if (text[at] === "\n" && quote.length === 1) break;
    if (text[at] !== "\\") {
      value += text[at++];
      continue;
    }
    if (at + 1 === text.length) break;
    const [part, length] = raw ? [`\\${text[at + 1]}`, 1] : escapeAt(text, at + 1);
    if (part === null) throw mistake("an escape that is none, or is not read here");
    value += part;
    at += 1 + length;
  }
  throw mistake("unterminated string literal");
}

function tokenAt(text, at) {
  const quote = matchAt(QUOTE, text, at);
  if (quote) {
    const [value, end] = textAt(text, at + quote[0].length, /r/i.test(quote[1]), quote[2]);
    return [{ kind: "text", value }, end];
  }
  const number = matchAt(NUMBER, text, at);
  if (number) {
    const end = at + number[0].length;
    if (matchAt(WORD, text, end) && !matchAt(AFTER_NUMBER, text, end)) throw mistake("invalid decimal literal");
    return [{ kind: "number", value: literalNumber(number[0]) }, end];
  }
  const word = matchAt(WORD, text, at);
  if (word) return [{ kind: "word", value: word[0].normalize("NFKC") }, at + word[0].length];
  const sign = matchAt(SIGN, text, at);
  if (sign) return [{ kind: "sign", value: sign[0] }, at + sign[0].length];
  throw mistake("invalid syntax", insteadOf(text, at));
}

// What is written here for a sign of other languages, where this is one.
function insteadOf(text, at) {
  const sign = [text.slice(at, at + 2), text[at]].find((each) => Object.hasOwn(FOREIGN, each));
  return sign ? { key: "where.instead", values: { sign, use: FOREIGN[sign] } } : null;
}

export function tokens(text) {
  const list = [];
  let depth = 0;
  for (let at = 0; at < text.length; ) {
    const space = matchAt(SPACE, text, at);
    if (space || (depth && "\r\n".includes(text[at]))) {
      at += space ? space[0].length : 1;
      continue;
    }
    const [token, end] = tokenAt(text, at);
    if (token.kind === "sign" && "([".includes(token.value)) depth += 1;
    if (token.kind === "sign" && ")]".includes(token.value)) depth -= 1;
    if (depth >= DEEPEST) throw mistake("too many nested parentheses");
    list.push(token);
    at = end;
  }
  return list;
}

// What reads a list of tokens one by one.
function tokenReader(list) {
  let at = 0;
  const is = (kind, values) => at < list.length && list[at].kind === kind && values.includes(list[at].value);
  return {
    next: () => (at < list.length ? list[at++] : { kind: "end" }),
    peek: () => (at < list.length ? list[at] : { kind: "end" }),
    sign: (...values) => (is("sign", values) ? list[at++].value : null),
    word: (...values) => (is("word", values) ? list[at++].value : null),
    negatedIn: () => {
      if (!is("word", ["not"]) || !list[at + 1] || list[at + 1].kind !== "word" || list[at + 1].value !== "in") return null;
      at += 2;
      return "not in";
    },
    done: () => at >= list.length,
  };
}

export function parsed(text) {
  const source = tokenReader(tokens(text.trim()));
  const tree = series(source, () => source.done());
  if (!source.done()) throw mistake("invalid syntax", source.word("is") ? { key: "where.instead", values: { sign: "is", use: "==" } } : null);
  return tree;
}

// One expression, or several with commas between them, which are a list.
function series(source, ended) {
  const first = orLevel(source);
  if (!source.sign(",")) return first;
  const parts = [first];
  while (!ended()) {
    parts.push(orLevel(source));
    if (!source.sign(",")) break;
  }
  return { kind: "list", parts, isTuple: true };
}

function joinedParts(source, word, kind, operand) {
  const parts = [operand(source)];
  while (source.word(word)) parts.push(operand(source));
  return parts.length === 1 ? parts[0] : { kind, parts };
}

function orLevel(source) {
  return joinedParts(source, "or", "either", andLevel);
}

function andLevel(source) {
  return joinedParts(source, "and", "both", inverted);
}

function inverted(source) {
  return source.word("not") ? { kind: "unary", sign: "not", part: inverted(source) } : comparison(source);
}

function comparison(source) {
  const [parts, signs] = [[additive(source)], []];
  for (;;) {
    const sign = source.sign("==", "!=", "<", "<=", ">", ">=") || source.word("in") || source.negatedIn();
    if (!sign) return signs.length ? { kind: "compare", signs, parts } : parts[0];
    signs.push(sign);
    parts.push(additive(source));
  }
}

function leftToRight(source, signs, operand) {
  let left = operand(source);
  for (let sign = source.sign(...signs); sign; sign = source.sign(...signs)) {
    left = { kind: "binary", sign, left, right: operand(source) };
  }
  return left;
}

function additive(source) {
  return leftToRight(source, ["+", "-"], multiplicative);
}

function multiplicative(source) {
  return leftToRight(source, ["*", "/", "//", "%"], unaryLevel);
}

function unaryLevel(source) {
  const sign = source.sign("+", "-");
  return sign ? { kind: "unary", sign, part: unaryLevel(source) } : primary(source);
}

function primary(source) {
  let node = atom(source);
  for (;;) {
    if (source.sign(".")) node = attributeNode(node, source.next());
    else if (source.sign("[")) node = { kind: "item", whole: node, part: subscript(source) };
    else if (source.sign("(")) node = callNode(node, enclosed(source, ")").parts);
    else return node;
  }
}

function attributeNode(node, token) {
  const plain = token.kind === "word" && !KEYWORDS.has(token.value) && !CONSTANTS.has(token.value);
  if (node.kind !== "name" || !plain) throw mistake("not Attribute");
  return { kind: "name", name: `${node.name}.${token.value}` };
}

function subscript(source) {
  const { parts, comma } = enclosed(source, "]");
  if (!parts.length) throw mistake("invalid syntax");
  return comma ? { kind: "list", parts, isTuple: true } : parts[0];
}

function callNode(node, parts) {
  if (node.kind !== "name" || node.name.includes(".")) throw mistake("not Call");
  return { kind: "call", name: node.name, parts };
}

// What stands up to a closing bracket, and whether there is a comma in it.
function enclosed(source, closing) {
  const parts = [];
  let comma = false;
  while (!source.sign(closing)) {
    parts.push(orLevel(source));
    if (source.sign(",")) comma = true;
    else if (source.sign(closing)) break;
    else throw mistake("invalid syntax");
  }
  return { parts, comma };
}

function atom(source) {
  const token = source.next();
  if (token.kind === "number") return { kind: "constant", value: token.value };
  if (token.kind === "text") return { kind: "constant", value: joinedTexts(token.value, source) };
  if (token.kind === "word") return nameNode(token.value);
  if (token.kind === "sign" && "([".includes(token.value)) {
    const { parts, comma } = enclosed(source, token.value === "(" ? ")" : "]");
    const isTuple = token.value === "(";
    return isTuple && parts.length && !comma ? parts[0] : { kind: "list", parts, isTuple };
  }
  throw mistake("invalid syntax");
}

// Texts side by side are one.
function joinedTexts(first, source) {
  let value = first;
  while (source.peek().kind === "text") value += source.next().value;
  return value;
}

function nameNode(name) {
  if (CONSTANTS.has(name)) return { kind: "constant", value: CONSTANTS.get(name) };
  if (KEYWORDS.has(name)) throw mistake("invalid syntax");
  return { kind: "name", name };
}
