// What the page says of a filter beside Python's own words: how to write what was meant.
import { parsed } from "./grammar.mjs";
import { isNumeric, pythonText } from "./python.mjs";
import { literalText } from "./scales.mjs";
import { asListed } from "./where.mjs";

const LONGEST_SAMPLE = 60;

// Why a filter is none: as the expression's reader has it, or, where a name is a text of some column, that it needs quotes.
export function reasonOf(why, columns) {
  if (why.name === undefined) return why;
  const isText = (value) => typeof value === "string" && value.toLowerCase() === why.name.toLowerCase();
  for (const column of columns) {
    const text = column.values.find(isText);
    if (text !== undefined) return { key: "where.quotes", values: { name: why.name, text: literalText(text) } };
  }
  return why;
}

function valueKind(value) {
  if (Array.isArray(value)) return "list";
  return isNumeric(value) ? "number" : typeof value === "string" ? "text" : null;
}

// What a tree without names stands for; undefined of any other.
function constantOf({ kind, value, sign, part, parts }) {
  if (kind === "constant") return value;
  if (kind === "unary" && sign === "-" && isNumeric(part.value)) return -part.value;
  if (kind !== "list") return undefined;
  const items = parts.map(constantOf);
  return items.includes(undefined) ? undefined : items;
}

// The comparisons in a tree that ask whether a name is equal to constants: [name, constant].
export function equalities(node) {
  const parts = [node.part, node.whole, node.left, node.right, ...(node.parts || [])].filter(Boolean);
  const own = node.kind !== "compare" ? [] : node.signs.flatMap((sign, at) => equalityOf(sign, node.parts[at], node.parts[at + 1]));
  return [...own, ...parts.flatMap(equalities)];
}

function equalityOf(sign, left, right) {
  const [named, other] = right.kind === "name" && sign.endsWith("=") ? [right, left] : [left, right];
  const constant = constantOf(other);
  if (named.kind !== "name" || constant === undefined) return [];
  if (sign === "==" || sign === "!=") return [[named.name, constant]];
  return sign.endsWith("in") && Array.isArray(constant) ? constant.map((each) => [named.name, each]) : [];
}

const bare = (value) => pythonText(value).replace(/[\s'"()[\]]/g, "").replace(/,$/, "");

// A comparison of a column with what none of its values can be equal to, such as a number with a text, and how to
// write it: {key, values}; null where there is none. `columnOf(name)` gives a column or nothing.
export function kindAdvice(text, columnOf) {
  for (const [name, constant] of equalities(parsed(text))) {
    const column = columnOf(name);
    if (!column || !column.count || !valueKind(constant)) continue;
    const values = column.values.slice(0, column.count);
    if (values.some((value) => [value, asListed(value)].map(valueKind).includes(valueKind(constant)))) continue;
    const meant = values.find((value) => bare(value) === bare(constant));
    const sample = literalText(meant === undefined ? values[0] : meant);
    if (sample.length > LONGEST_SAMPLE) continue;
    return { key: `where.is_${valueKind(values[0])}`, values: { name, use: `${name} == ${sample}` } };
  }
  return null;
}
