// What is told of a selection: how an output came about, pixels | weights | products, channel by channel; the copies of a
// pixel; what a weight meets.
import { MOST_CHANNELS, added, cellOf, exactly, inFull, isWhole, sumLine, verdictOf } from "./cell.mjs";
import { pointed } from "./digits.mjs";
import { classed, element } from "./dom.mjs";
import { columnOf, copiesOf, countOf, firstChannel, imageLetters, isPadded, isPadding, pixelOf, placesWithin, rangeOf, rowOf, sizesOf, tapLetters } from "./geometry.mjs";
import { depthIn } from "./marks.mjs";
import { short } from "./numbers.mjs";

const [MOST_COPIES, MOST_SIDE] = [9, 12];

const called = (letters, place) => letters.map((letter, index) => `${letter}=${place[index]}`).join(", ");

const line = (...inside) => element("p", {}, ...inside);
const rowOfCells = (cells) => element("tr", {}, cells);

function block(texts, width, look, padding = []) {
  const cells = texts.map((text, index) => classed("td", padding[index] && "padding", text));
  return classed("table", `block ${look}`, element("tbody", {}, rangeOf(0, texts.length / width).map((row) => rowOfCells(cells.slice(row * width, (row + 1) * width)))));
}

function channelBlocks({ app, conv, channelNames }, { number, pixels, weights, products, padding, total, less = ["", ""] }) {
  const width = conv.kernel.at(-1);
  const shown = pixels.map(short).map((text, index) => (padding[index] ? `(${text})` : text));
  const terms = pointed(products.map(short)).map((text, index) => text + (index + 1 < products.length ? " +" : "  "));
  const parts = [block(pointed(shown), width, "window", padding), `${less[0]}×`, block(pointed(weights.map(short)), width, "weight"), `${less[1]}=`, block(terms, width, "added")];
  const sum = conv.channels === conv.groups ? `${products.map(short).join(" + ")} = ` : "";
  const name = channelNames[number] ? ` ${channelNames[number]}` : "";
  return element("figure", {}, element("figcaption", {}, app.say("channelNumber", { c: number }) + name), classed("div", "blocks", parts), line(app.say("channelSum", { sum: sum + short(total) })));
}

function outputTold(view, selected) {
  const { app, conv, arrays } = view;
  const cell = cellOf(conv, arrays, selected);
  const rest = cell.channels.slice(MOST_CHANNELS);
  const sum = sumLine(cell, app.say);
  const body = [
    classed("div", "channels", cell.channels.slice(0, MOST_CHANNELS).map((channel) => channelBlocks(view, channel))),
    rest.length ? line(app.say("moreChannels", { count: rest.length, first: rest[0].number, last: rest.at(-1).number })) : null,
    classed("p", "total", sum),
    storedTold(app, cell),
    added.later(conv, arrays, selected).map((text) => classed("p", "later", text)),
  ];
  return { head: called(["n", "f", ...conv.outLetters], [selected.n, selected.f, ...selected.at]), line: sum, body };
}

function storedTold(app, cell) {
  const { stored, dtype } = cell;
  if (isWhole(dtype) && verdictOf(cell) === "asStored") return line(app.say("storedMeaning", { dtype }));
  return line(app.say("storedValue", { dtype }), " ", element("code", {}, inFull(stored, dtype)));
}

function copyRow({ conv, arrays, f }, { at, tap }, c, depth, pixel) {
  const weight = depth === null ? null : exactly(arrays.filters, [f, depth, ...tap]);
  const met = weight === null ? ["–", "–"] : [short(weight), short(added.times(pixel, weight, conv, f))];
  return rowOfCells([...at, ...met].map((text) => element("td", {}, String(text))));
}

function copiesTable(view, { n, c, at }, copies, depth, pixel) {
  const { app, conv } = view;
  const heads = ["r", "k", conv.outLetters.join(","), app.say("weightWord"), app.say("productWord")];
  const rows = copies.slice(0, MOST_COPIES).map(({ at: out, tap }) => copyRow(view, { at: [rowOf(conv, n, out), columnOf(conv, c, tap), out.join(",")], tap }, c, depth, pixel));
  return classed("table", "copies", element("thead", {}, rowOfCells(heads.map((text) => element("th", { scope: "col" }, text)))), element("tbody", {}, rows));
}

function pixelTold(view, selected) {
  const { app, conv, arrays, f } = view;
  const { n, c, at } = selected;
  const copies = copiesOf(conv, at);
  const depth = arrays.filters ? depthIn(conv, f, c) : null;
  const pixel = exactly(arrays.padded, [n, c, ...at]);
  const head = called(["n", "c", ...imageLetters(conv)], [n, c, ...at]);
  const told = { place: head, value: short(pixel), count: copies.length, f };
  const group = arrays.filters && depth === null ? ` ${app.say("otherGroup", told)}` : "";
  const padding = isPadding(conv, at);
  const text = copies.length ? app.say(padding ? "paddingCopies" : "pixelCopies", told) + group : app.say("noCopies", told);
  const inImage = called(imageLetters(conv), at.map((index, axis) => index - conv.pads[axis][0]));
  const unpadded = isPadded(conv) && !padding ? line(app.say("unpadded", { place: inImage })) : null;
  const more = copies.length - MOST_COPIES;
  const table = copies.length ? copiesTable(view, selected, copies, depth, pixel) : null;
  return { head, line: text, body: [line(text), unpadded, table, more > 0 ? line(app.say("moreCopies", { count: more })) : null] };
}

// The pixels that a weight meets and its products, as im2col takes them out: a block as high and wide as the map.
function weightBlock({ app, conv, arrays, n }, { f, c, at }) {
  const channel = firstChannel(conv, f) + c;
  const spans = conv.box.out.map(([start, stop]) => [start, Math.min(stop, start + MOST_SIDE)]);
  const places = placesWithin(spans).map((out) => pixelOf(conv, out, at));
  const pixels = places.map((place) => exactly(arrays.padded, [n, channel, ...place]));
  const weight = exactly(arrays.filters, [f, c, ...at]);
  const padding = places.map((place) => isPadding(conv, place));
  const width = sizesOf(spans).at(-1);
  const shown = pixels.map((pixel, index) => (padding[index] ? `(${short(pixel)})` : short(pixel)));
  const parts = [block(pointed(shown), width, "window", padding), "×", block([short(weight)], 1, "weight"), "=", block(pointed(pixels.map((pixel) => short(added.times(pixel, weight, conv, f)))), width, "added")];
  const rank = at.length;
  const order = [0, ...rangeOf(2 + rank, 2 + 2 * rank), 1, ...rangeOf(2, 2 + rank)].join(", ");
  const told = { tap: at.join(", "), colons: at.map(() => ":").join(", "), n, c: channel, order, k: columnOf(conv, channel, at) };
  return [line(app.say("weightBlock", told)), classed("div", "blocks", parts), rank === 2 && !conv.byTap ? line(app.say("weightTurned", told)) : null];
}

function weightTold(view, { f, c, at }) {
  const { app, conv, arrays: { filters } } = view;
  const head = called(["f", "c", ...tapLetters(conv)], [f, c, ...at]);
  const k = columnOf(conv, firstChannel(conv, f) + c, at);
  const text = app.say("weightMeaning", { place: head, value: short(exactly(filters, [f, c, ...at])), k, count: countOf(conv.out) });
  return { head, line: text, body: [line(text), weightBlock(view, { f, c, at })] };
}

// {head, line, body}: what is selected, in a line, and in full.
export function toldOf(view, selected) {
  return { output: outputTold, pixel: pixelTold, weight: weightTold }[selected.kind](view, selected);
}
