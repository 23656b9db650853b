// Numbers for people, as `short` of convpipe/ops/kinds/formulas.py writes them, to the letter.
// BigInt stands for a whole number of an integer dtype, Number for a float: 1234567n is 1234567, 1234567 is 1.23457e+06.

export function short(value) {
  if (typeof value === "bigint") return String(value);
  if (Number.isNaN(value)) return "nan";
  if (!Number.isFinite(value)) return value > 0 ? "inf" : "-inf";
  if (value === 0) return "0";
  const [digits, power] = sixDigits(Math.abs(value));
  return (value < 0 ? "-" : "") + written(digits, power);
}

// The digits of a number above 0, rounded to six as Python does: half to even. JavaScript rounds a half up.
function sixDigits(size) {
  const [mantissa, power] = size.toExponential(5).split("e");
  const long = size.toExponential(100).split("e")[0].replace(".", "");
  const tie = /^50*$/.test(long.slice(6)) && (long.charCodeAt(5) & 1) === 0;
  return [tie ? long.slice(0, 6) : mantissa.replace(".", ""), Number(power)];
}

function written(digits, power) {
  const bare = (whole, rest) => whole + (rest.replace(/0+$/, "") && "." + rest.replace(/0+$/, ""));
  if (power < -4 || power > 5) {
    const size = String(Math.abs(power)).padStart(2, "0");
    return bare(digits[0], digits.slice(1)) + "e" + (power < 0 ? "-" : "+") + size;
  }
  if (power < 0) return bare("0", "0".repeat(-power - 1) + digits);
  return bare(digits.slice(0, power + 1), digits.slice(power + 1));
}
