// Numbers with all that tells them from their neighbours, as `precise` of convpipe/ops/kinds/machine_numbers.py.
import { short } from "./numbers.mjs";

export function precise(value) {
  if (typeof value === "bigint" || !Number.isFinite(value)) return short(value);
  if (Number.isInteger(value)) return String(BigInt(value));
  const near = Math.fround(value) === value ? Math.fround : Number;
  let count = 1;
  while (near(Number(value.toPrecision(count))) !== value) count += 1;
  return value.toPrecision(count);
}
