// The box that shows how a cell came about: pixels | weights | products, channel by channel, and what is stored.
import { MOST_CHANNELS, cellOf, exactly, inFull, laterSteps, sumLine } from "./cell.mjs";
import { pointed } from "./digits.mjs";
import { element } from "./dom.mjs";
import { columnOf, copiesOf, firstChannel, isPadding, rowOf } from "./geometry.mjs";
import { depthIn } from "./marks.mjs";
import { short } from "./numbers.mjs";

const MOST_COPIES = 12;

export const named = (letters, place) => letters.map((letter, index) => `${letter}=${place[index]}`).join(", ");

export const outputName = (conv, { n, f, at }) => named(["n", "f", ...conv.outLetters], [n, f, ...at]);

function block(texts, width, looks, extra) {
  const rows = [];
  for (let start = 0; start < texts.length; start += width) rows.push(texts.slice(start, start + width).map((text, index) => element("td", { class: looks(start + index) }, text)));
  return element("table", { class: `block ${extra}` }, element("tbody", {}, rows.map((row) => element("tr", {}, row))));
}

function channelNode(app, conv, channel, names) {
  const width = conv.kernel.at(-1);
  const padded = channel.pixels.map((pixel, index) => (channel.padding[index] ? `(${short(pixel)})` : short(pixel)));
  const product = pointed(channel.products.map(short)).map((text, index) => text + (index + 1 < channel.products.length ? " +" : "  "));
  const none = () => null;
  return element(
    "figure",
    {},
    element("figcaption", {}, `${app.say("channelNumber", { c: channel.number })}${names[channel.number] ? ` ${names[channel.number]}` : ""}`),
    element("div", { class: "blocks" },
      block(pointed(padded), width, (index) => (channel.padding[index] ? "padding" : null), "window"), element("span", {}, "×"),
      block(pointed(channel.weights.map(short)), width, none, "weight"), element("span", {}, "="),
      block(product, width, none, "")),
    element("p", { class: "sum" }, app.say("channelSum", { sum: short(channel.total) })),
  );
}

function outputBox(app, view, selected) {
  const { conv, arrays } = view;
  const cell = cellOf(conv, arrays, selected);
  const rest = cell.channels.length - MOST_CHANNELS;
  const line = sumLine(cell, app.say);
  const full = inFull(cell.stored, cell.dtype);
  const later = conv.later.length ? laterSteps(conv, arrays, selected) : [];
  const body = [
    element("div", { class: "channels" }, cell.channels.slice(0, MOST_CHANNELS).map((channel) => channelNode(app, conv, channel, view.channelNames))),
    rest > 0 ? element("p", {}, app.say("moreChannels", { count: rest, first: cell.channels[MOST_CHANNELS].number, last: cell.channels.at(-1).number })) : null,
    element("p", { class: "total" }, line),
    element("p", {}, app.say("storedValue", { dtype: cell.dtype }), " ", element("code", { class: "stored" }, full)),
    later.map((step) => element("p", { class: "later" }, `${step.op}: ${step.text}`)),
  ];
  return { head: outputName(conv, selected), line, body };
}

function copyRow(view, copy, { n, c, at }) {
  const { conv, arrays, f } = view;
  const depth = depthIn(conv, f, c);
  const pixel = exactly(arrays.padded, [n, c, ...at]);
  const weight = depth === null ? undefined : exactly(arrays.filters, [f, depth, ...copy.tap]);
  const cells = [rowOf(conv, n, copy.at), columnOf(conv, c, copy.tap), copy.at.join(","), weight === undefined ? "–" : short(weight)];
  const whole = typeof pixel === "bigint" && typeof weight === "bigint";
  cells.push(weight === undefined ? "–" : short(whole ? pixel * weight : Number(pixel) * Number(weight)));
  return element("tr", {}, cells.map((text) => element("td", {}, String(text))));
}

function pixelBox(app, view, selected) {
  const { conv, arrays } = view;
  const { n, c, at } = selected;
  const copies = copiesOf(conv, at);
  const depth = depthIn(conv, view.f, c);
  const told = { place: named(["n", "c", ...view.letters], [n, c, ...at]), value: inFull(exactly(arrays.padded, [n, c, ...at]), arrays.padded.dtype), count: copies.length, f: view.f };
  const line = app.say(isPadding(conv, at) ? "paddingCopies" : "pixelCopies", told) + (depth === null ? ` ${app.say("otherGroup", told)}` : "");
  const heads = ["r", "k", conv.outLetters.join(","), app.say("weightWord"), app.say("productWord")];
  const table = element("table", { class: "copies" },
    element("thead", {}, element("tr", {}, heads.map((text) => element("th", { scope: "col" }, text)))),
    element("tbody", {}, copies.slice(0, MOST_COPIES).map((copy) => copyRow(view, copy, selected))));
  const more = copies.length > MOST_COPIES ? element("p", {}, app.say("moreCopies", { count: copies.length - MOST_COPIES })) : null;
  return { head: told.place, line, body: [element("p", {}, line), copies.length ? table : null, more] };
}

function weightBox(app, view, { f, c, tap }) {
  const { conv, arrays } = view;
  const channel = firstChannel(conv, f) + c;
  const place = named(["f", "c", ...view.tapLetters], [f, channel, ...tap]);
  const told = { place, value: inFull(exactly(arrays.filters, [f, c, ...tap]), arrays.filters.dtype), k: columnOf(conv, channel, tap), count: conv.out.reduce((all, size) => all * size, 1) };
  const line = app.say("weightMeaning", told);
  return { head: place, line, body: [element("p", {}, line)] };
}

// What is told of a selection: {head, line, body}.
export function toldOf(app, view, selected) {
  if (selected.kind === "output") return outputBox(app, view, selected);
  return selected.kind === "pixel" ? pixelBox(app, view, selected) : weightBox(app, view, selected);
}
