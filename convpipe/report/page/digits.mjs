// How the numbers of one array are written: all with as many decimals, so that their points stand below each other.
const MOST_DECIMALS = 3;
const SMALLEST = 1e-3;
const LARGEST = 1e6;

const special = (value) => (Number.isNaN(value) ? "nan" : value > 0 ? "inf" : "-inf");

function fits(values, decimals) {
  const scale = 10 ** decimals;
  return values.every((value) => !Number.isFinite(value) || Math.abs(value * scale - Math.round(value * scale)) < 1e-9 * scale);
}

function decimalsOf(values) {
  const finite = Array.from(values, Number).filter(Number.isFinite);
  const largest = finite.reduce((most, value) => Math.max(most, Math.abs(value)), 0);
  if (largest && (largest < SMALLEST || largest >= LARGEST)) return fits(finite, 0) && largest < 1e12 ? 0 : null;
  const usual = largest < 0.1 ? MOST_DECIMALS + 1 : largest < 100 ? MOST_DECIMALS : largest < 1000 ? 2 : 1;
  for (let decimals = 0; decimals < usual; decimals++) if (fits(finite, decimals)) return decimals;
  return usual;
}

function numeral(value, decimals) {
  if (typeof value === "bigint") return String(value);
  if (!Number.isFinite(value)) return special(value);
  const text = decimals === null ? value.toExponential(2) : value.toFixed(decimals);
  return Number(text) === 0 ? text.replace("-", "") : text;
}

// The least and the largest, which are the longest of numbers with as many decimals each; and what is no number.
function outermost(values) {
  const odd = new Set();
  let low, high;
  for (const value of values) {
    if (typeof value === "number" && !Number.isFinite(value)) odd.add(value);
    else if (low === undefined) low = high = value;
    else if (value < low) low = value;
    else if (value > high) high = value;
  }
  return low === undefined ? [...odd] : [...odd, low, high];
}

// {text(value), characters, whole}: how a value is written, how many characters the longest takes, whether it is whole.
export function digitsOf(array) {
  const whole = array.dtype.includes("int");
  const decimals = whole ? 0 : decimalsOf(array.values);
  const text = (value) => (value === undefined ? "" : numeral(value, decimals));
  let characters = 1;
  for (const value of decimals === null ? array.values : outermost(array.values)) characters = Math.max(characters, text(value).length);
  return { text, characters, whole: decimals === 0 };
}

// Texts filled up with spaces, so that their decimal points stand below each other at the right of a cell.
export function pointed(texts) {
  const tail = (text) => (/e|n/.test(text) || !text.includes(".") ? 0 : text.length - text.indexOf("."));
  const most = Math.max(...texts.map(tail));
  return texts.map((text) => (/e|n/.test(text) ? text : text + " ".repeat(most - tail(text))));
}
