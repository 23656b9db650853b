// The nearest of some known names, as Python's difflib finds it.
function longestMatch(first, second, a, aEnd, b, bEnd) {
  let best = [a, b, 0];
  let lengths = new Map();
  for (let i = a; i < aEnd; i++) {
    const next = new Map();
    for (let j = b; j < bEnd; j++) {
      if (first[i] !== second[j]) continue;
      const length = (lengths.get(j - 1) || 0) + 1;
      next.set(j, length);
      if (length > best[2]) best = [i - length + 1, j - length + 1, length];
    }
    lengths = next;
  }
  return best;
}

function matching(first, second, a, aEnd, b, bEnd) {
  const [i, j, length] = longestMatch(first, second, a, aEnd, b, bEnd);
  if (!length) return 0;
  return length + matching(first, second, a, i, b, j) + matching(first, second, i + length, aEnd, j + length, bEnd);
}

export function likeness(first, second) {
  const [a, b] = [[...first], [...second]];
  return a.length + b.length ? (2 * matching(a, b, 0, a.length, 0, b.length)) / (a.length + b.length) : 1;
}

// A hint with it; nothing where none is near.
export function didYouMean(name, known, elsewhere) {
  const near = nearestName(name, known, elsewhere);
  return near ? `did you mean ${near}?` : "";
}

export function nearestName(name, known, elsewhere) {
  const other = Object.hasOwn(elsewhere, name) ? elsewhere[name] : "";
  if (other && known.includes(other)) return other;
  const same = known.find((each) => each.toLowerCase() === name.toLowerCase());
  return same || mostLike(name, known, (each) => each) || mostLike(name.toLowerCase(), known, (each) => each.toLowerCase());
}

function mostLike(name, known, written) {
  let best = [0.6, ""];
  for (const each of known) {
    const score = likeness(written(each), name);
    if (score > best[0] || (score === best[0] && each > best[1])) best = [score, each];
  }
  return best[1];
}
