// What is told of a selection: how an output came about, pixels | weights | products, channel by channel; the copies of a
// pixel; what a weight meets.
import { MOST_CHANNELS, cellOf, exactly, inFull, laterLines, sumLine, times } from "./cell.mjs";
import { pointed } from "./digits.mjs";
import { classed, element } from "./dom.mjs";
import { columnOf, copiesOf, countOf, firstChannel, imageLetters, isPadding, rangeOf, rowOf, tapLetters } from "./geometry.mjs";
import { depthIn } from "./marks.mjs";
import { short } from "./numbers.mjs";

const MOST_COPIES = 9;

const called = (letters, place) => letters.map((letter, index) => `${letter}=${place[index]}`).join(", ");

const line = (...inside) => element("p", {}, ...inside);
const rowOfCells = (cells) => element("tr", {}, cells);

function block(texts, width, look, padding = []) {
  const cells = texts.map((text, index) => classed("td", padding[index] && "padding", text));
  return classed("table", `block ${look}`, element("tbody", {}, rangeOf(0, texts.length / width).map((row) => rowOfCells(cells.slice(row * width, (row + 1) * width)))));
}

function channelBlocks({ app, conv, channelNames }, { number, pixels, weights, products, padding, total }) {
  const width = conv.kernel.at(-1);
  const shown = pixels.map(short).map((text, index) => (padding[index] ? `(${text})` : text));
  const added = pointed(products.map(short)).map((text, index) => text + (index + 1 < products.length ? " +" : "  "));
  const parts = [block(pointed(shown), width, "window", padding), "×", block(pointed(weights.map(short)), width, "weight"), "=", block(added, width, "added")];
  const name = channelNames[number] ? ` ${channelNames[number]}` : "";
  return element("figure", {}, element("figcaption", {}, app.say("channelNumber", { c: number }) + name), classed("div", "blocks", parts), line(app.say("channelSum", { sum: short(total) })));
}

// Where `quant` will go on: with zero points, multiplier, rounding and clamp, after the later stages.
function outputTold(view, selected) {
  const { app, conv, arrays } = view;
  const cell = cellOf(conv, arrays, selected);
  const rest = cell.channels.slice(MOST_CHANNELS);
  const sum = sumLine(cell, app.say);
  const body = [
    classed("div", "channels", cell.channels.slice(0, MOST_CHANNELS).map((channel) => channelBlocks(view, channel))),
    rest.length ? line(app.say("moreChannels", { count: rest.length, first: rest[0].number, last: rest.at(-1).number })) : null,
    classed("p", "total", sum),
    line(app.say("storedValue", { dtype: cell.dtype }), " ", element("code", {}, inFull(cell.stored, cell.dtype))),
    laterLines(conv, arrays, selected).map((text) => line(text)),
  ];
  return { head: called(["n", "f", ...conv.outLetters], [selected.n, selected.f, ...selected.at]), line: sum, body };
}

function copyRow({ conv, arrays, f }, { at, tap }, c, depth, pixel) {
  const weight = depth === null ? null : exactly(arrays.filters, [f, depth, ...tap]);
  const met = weight === null ? ["–", "–"] : [short(weight), short(times(pixel, weight))];
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
  const told = { place: head, value: inFull(pixel, arrays.padded.dtype), count: copies.length, f };
  const group = arrays.filters && depth === null ? ` ${app.say("otherGroup", told)}` : "";
  const text = app.say(isPadding(conv, at) ? "paddingCopies" : "pixelCopies", told) + group;
  const more = copies.length - MOST_COPIES;
  const table = copies.length ? copiesTable(view, selected, copies, depth, pixel) : null;
  return { head, line: text, body: [line(text), table, more > 0 ? line(app.say("moreCopies", { count: more })) : null] };
}

function weightTold({ app, conv, arrays: { filters } }, { f, c, at }) {
  const head = called(["f", "c", ...tapLetters(conv)], [f, c, ...at]);
  const k = columnOf(conv, firstChannel(conv, f) + c, at);
  const text = app.say("weightMeaning", { place: head, value: inFull(exactly(filters, [f, c, ...at]), filters.dtype), k, count: countOf(conv.out) });
  return { head, line: text, body: [line(text)] };
}

// {head, line, body}: what is selected, in a line, and in full.
export function toldOf(view, selected) {
  return { output: outputTold, pixel: pixelTold, weight: weightTold }[selected.kind](view, selected);
}
