// Where things lie in a convolution, as whole numbers. `conv` is one of facts.convolutions; places are lists of indices
// along the spatial axes: `at` of outputs and of padded pixels, `tap` of the kernel.
export const countOf = (sizes) => sizes.reduce((all, size) => all * size, 1);

export const rangeOf = (start, stop) => Array.from({ length: stop - start }, (_, index) => start + index);

// All places from one corner up to another, the last axis fastest.
export function placesWithin(spans) {
  const along = ([start, stop], found) => found.flatMap((place) => rangeOf(start, stop).map((index) => [...place, index]));
  return spans.reduce((found, span) => along(span, found), [[]]);
}

export const sizesOf = (spans) => spans.map(([start, stop]) => stop - start);
export const wholeSpans = (sizes) => sizes.map((size) => [0, size]);

export const flatOf = (place, sizes) => place.reduce((flat, index, axis) => flat * sizes[axis] + index, 0);

export function placeIn(flat, sizes) {
  const place = [];
  for (let axis = sizes.length - 1, rest = flat; axis >= 0; axis--) {
    place.unshift(rest % sizes[axis]);
    rest = Math.floor(rest / sizes[axis]);
  }
  return place;
}

export const tapsOf = (conv) => placesWithin(wholeSpans(conv.kernel));

// The padded pixel that one tap of the window meets.
export const pixelOf = (conv, at, tap) => at.map((start, axis) => start * conv.stride[axis] + tap[axis] * conv.dilation[axis]);

export const windowOf = (conv, at) => tapsOf(conv).map((tap) => pixelOf(conv, at, tap));

export const depthOf = (conv) => conv.channels / conv.groups;

// The first channel that a filter sees; it sees depthOf(conv) of them.
export const firstChannel = (conv, f) => Math.floor(f / (conv.filters / conv.groups)) * depthOf(conv);

export const rowOf = (conv, n, at) => flatOf([n, ...at], [conv.batch, ...conv.out]);

// Where a channel and a tap stand in a row of the columns: by channels, or within each group by taps. Of a filter, whose
// channels are counted from 0, that is where they stand in its row, too.
const rowSizes = (conv) => (conv.byTap ? [conv.groups, ...conv.kernel, depthOf(conv)] : [conv.channels, ...conv.kernel]);

export function columnOf(conv, c, tap) {
  const depth = depthOf(conv);
  return flatOf(conv.byTap ? [Math.floor(c / depth), ...tap, c % depth] : [c, ...tap], rowSizes(conv));
}

export function columnPlace(conv, column) {
  const [c, ...at] = placeIn(column, rowSizes(conv));
  return conv.byTap ? { c: c * depthOf(conv) + at.pop(), at } : { c, at };
}

// What belongs to a channel and what to a tap, in the order of a row.
export const inOrder = (conv, channel, tap) => (conv.byTap ? [tap, channel] : [channel, tap]);

// How many columns share what comes first: a channel, or a tap.
export const innerOf = (conv) => (conv.byTap ? depthOf(conv) : countOf(conv.kernel));

export const isPadded = (conv) => conv.pads.flat().some(Boolean);

export function isPadding(conv, at) {
  return at.some((index, axis) => index < conv.pads[axis][0] || index >= conv.pads[axis][0] + conv.spatial[axis]);
}

// Along one axis, which outputs meet a padded index, and with which tap.
function copiesAlong(conv, index, axis) {
  const found = [];
  for (let tap = conv.kernel[axis] - 1; tap >= 0; tap--) {
    const start = index - tap * conv.dilation[axis];
    const out = start / conv.stride[axis];
    if (start >= 0 && Number.isInteger(out) && out < conv.out[axis]) found.push([out, tap]);
  }
  return found;
}

// All places in the column matrix that hold a pixel, in the order of its rows: {at, tap}.
export function copiesOf(conv, at) {
  let found = [{ at: [], tap: [] }];
  at.forEach((index, axis) => {
    const here = copiesAlong(conv, index, axis);
    found = found.flatMap((copy) => here.map(([out, tap]) => ({ at: [...copy.at, out], tap: [...copy.tap, tap] })));
  });
  return found;
}

// The places of outputs that the page has.
export const shownOutputs = (conv) => placesWithin(conv.box.out);

// The letters of a place in an image, and of one in a kernel.
export const imageLetters = (conv) => ["z", "y", "x"].slice(-conv.kernel.length);
export const tapLetters = (conv) => ["h", "i", "j"].slice(-conv.kernel.length);
