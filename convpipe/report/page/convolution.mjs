// The convolution, cell by cell: input, filter and map above, the product of matrices below, and what a selection means.
import { toldOf } from "./arithmetic.mjs";
import { canvasGrid } from "./canvas.mjs";
import { choice, walker } from "./controls.mjs";
import { digitsOf } from "./digits.mjs";
import { element, word } from "./dom.mjs";
import { countOf, depthOf, firstChannel, imageLetters, placeIn, rangeOf, tapLetters } from "./geometry.mjs";
import { revealed, tableGrid } from "./grid.mjs";
import { marksOf } from "./marks.mjs";
import { reworded } from "./page.mjs";
import { columnsSheet, filterSheets, mapSheets, matrixSheet, paddedSheets, productSheet, rowsOf } from "./sheets.mjs";

const MOST_TABLE_CELLS = 2000;
const MOST_CELLS = 5000;
const MOST_DRAWN = 8;

let shown = null;

// The arrays of a convolution by their parts; `sums` is the one that holds what the sums come to.
async function arraysOf(app, conv) {
  const parts = Object.entries(conv.parts);
  const read = await Promise.all(parts.map(([, name]) => app.array(name)));
  const arrays = Object.fromEntries(parts.map(([part], index) => [part, read[index]]));
  return { product: arrays.feature_map, ...arrays, sums: arrays[conv.sums] };
}

const chosenConvolution = (app) => app.facts.convolutions.find((each) => each.layer === app.state.layer) || app.facts.convolutions[0];

async function viewOf(app) {
  const conv = chosenConvolution(app);
  const arrays = await arraysOf(app, conv);
  const digits = Object.fromEntries(Object.entries(arrays).filter(([, array]) => array).map(([part, array]) => [part, digitsOf(array)]));
  const [n, f] = [conv.box.n[0], conv.box.f[0]];
  const names = conv.layer ? {} : app.facts.names || {};
  return {
    app, conv, arrays, digits, n, f, rows: rowsOf(conv), grids: [], letters: imageLetters(conv), tapLetters: tapLetters(conv),
    channelNames: names.input || [], filterNames: names.feature_map || [],
  };
}

// What is looked at first: the cell that was asked for, or else the first one.
function firstSelection(view, at) {
  const { conv } = view;
  if (!conv.parts.feature_map || !countOf(conv.box.out.map(([start, stop]) => stop - start))) return null;
  const [n, f, ...place] = at || [view.n, view.f, ...conv.box.out.map(([start]) => start)];
  return { kind: "output", n, f, at: place };
}

// Grids

function addGrid(view, sheet, title) {
  const cells = sheet.rows * sheet.columns;
  const asTable = cells <= MOST_TABLE_CELLS && cells + view.cells <= MOST_CELLS;
  view.cells += asTable ? cells : 0;
  const on = {
    hover: (r, c) => preview(view, sheet.select(r, c)),
    pick: (r, c) => pick(view, sheet.select(r, c)),
    move: (r, c) => choose(view, sheet.select(r, c), view.app.state.pinned),
  };
  const grid = (asTable ? tableGrid : canvasGrid)(sheet, on);
  const caption = element("figcaption", { id: `grid-${view.grids.length}` });
  grid.node.setAttribute("aria-labelledby", caption.id);
  const made = { ...grid, sheet, caption, title };
  titled(made);
  view.grids.push(made);
  return made;
}

function titled(grid) {
  grid.caption.textContent = grid.title();
}

const framed = (grid) => element("figure", {}, grid.caption, element("div", { class: "wide" }, grid.node));

function channelTitle(view, c, plane) {
  const { app, channelNames } = view;
  const name = channelNames[c] ? ` ${channelNames[c]}` : "";
  return `${app.say("channelNumber", { c })}${name}${plane === undefined ? "" : `, z=${plane}`}`;
}

// The channels that are drawn: those of the filter first.
export function drawnChannels(conv, f) {
  const first = firstChannel(conv, f);
  const own = rangeOf(first, first + depthOf(conv));
  const others = rangeOf(0, conv.channels).filter((c) => !own.includes(c));
  return [...own, ...others].slice(0, MOST_DRAWN);
}

function volume(view, sheets, title) {
  const several = sheets.length > 1;
  const grids = sheets.map((sheet, index) => addGrid(view, sheet, () => title(several ? sheet.plane : undefined)));
  return element("div", { class: "planes" }, grids.map(framed));
}

function leftOut(view, drawn, all) {
  return drawn < all ? element("p", { class: "note" }, view.app.say("moreDrawn", { drawn, all })) : null;
}

function mapsNode(view) {
  const { conv, app } = view;
  const channels = drawnChannels(conv, view.f);
  const own = channels.filter((c) => c >= firstChannel(conv, view.f) && c < firstChannel(conv, view.f) + depthOf(conv));
  const first = firstChannel(conv, view.f);
  const padded = channels.map((c) => volume(view, paddedSheets(view, c), (plane) => channelTitle(view, c, plane)));
  const parts = [group(conv.pads.flat().some(Boolean) ? "paddedInput" : "input", "padded", padded, leftOut(view, channels.length, conv.channels))];
  if (conv.parts.filters) {
    const filters = own.map((c) => volume(view, filterSheets(view, c - first), (plane) => channelTitle(view, c, plane)));
    parts.push(sign("∗"), group("filter", "filters", filters, leftOut(view, own.length, depthOf(conv))));
  }
  if (conv.parts.feature_map) parts.push(sign("="), group("featureMap", "map", volume(view, mapSheets(view), (plane) => mapTitle(view, plane))));
  return parts;
}

const sign = (text) => element("span", { class: "sign", "aria-hidden": "true" }, text);
const group = (key, look, ...inside) => element("section", { class: look }, word("h3", key), element("div", { class: "volumes" }, inside));

function mapTitle(view, plane) {
  const name = view.filterNames[view.f];
  return `n=${view.n}, f=${view.f}${name ? ` ${name}` : ""}${plane === undefined ? "" : `, z=${plane}`}`;
}

// The product scheme: the filter matrix above the product, the column matrix at its left.
function schemeNode(view) {
  const { conv, app } = view;
  const part = (look, sheet, key) => {
    const grid = addGrid(view, sheet, () => app.say(key));
    grid.frame = framed(grid);
    grid.frame.classList.add(look);
    return grid;
  };
  const columns = part("columns", columnsSheet(view), "columnMatrix");
  const matrix = conv.parts.filters && part("matrix", matrixSheet(view), "filterMatrix");
  const product = conv.parts.feature_map && part("product", productSheet(view), "product");
  if (product) together(scrollerOf(columns), scrollerOf(product), "scrollTop");
  if (product && matrix) together(scrollerOf(matrix), scrollerOf(product), "scrollLeft");
  view.columns = columns;
  return element("div", { class: "scheme" }, legend(conv), [matrix, columns, product].filter(Boolean).map((grid) => grid.frame));
}

const scrollerOf = (grid) => (grid.scroller || grid.node.parentNode);

// Two grids whose rows, or columns, stay side by side.
function together(one, other, side) {
  const follow = (leader, follower) => leader.addEventListener("scroll", () => {
    if (follower[side] !== leader[side]) follower[side] = leader[side];
  });
  follow(one, other);
  follow(other, one);
}

function legend(conv) {
  const looks = ["window", "weight", "result", "feeds"];
  const implicit = conv.stages.includes("implicit_gemm");
  return element("div", { class: "legend" },
    conv.parts.feature_map ? word("p", "schemeMeaning") : null,
    implicit ? word("p", "implicitMeaning", { class: "note" }) : null,
    element("ul", {}, looks.map((look) => element("li", {}, element("span", { class: `swatch ${look}` }, "0"), " ", word("span", `${look}Look`)))));
}

// Selecting

function choose(view, selected, pinned) {
  view.app.set({ selected, pinned });
}

function preview(view, selected) {
  if (!view.app.state.pinned) choose(view, selected, false);
}

const sameSelection = (one, other) => JSON.stringify(one) === JSON.stringify(other);

function pick(view, selected) {
  const { selected: before, pinned } = view.app.state;
  view.walker.stop();
  choose(view, selected, !(pinned && sameSelection(before, selected)));
}

function free(view) {
  view.walker.stop();
  choose(view, view.app.state.selected, false);
}

// The next output of the map, in its rows' order.
function step(view, by) {
  const { conv, app } = view;
  const sizes = conv.box.out.map(([start, stop]) => stop - start);
  const count = countOf(sizes);
  if (!conv.parts.feature_map || !count) return;
  const { selected } = app.state;
  const starts = conv.box.out.map(([start]) => start);
  const current = selected && selected.kind === "output" ? selected.at.reduce((flat, index, axis) => flat * sizes[axis] + index - starts[axis], 0) : -1;
  const next = placeIn((current + by + count) % count, sizes).map((index, axis) => index + starts[axis]);
  choose(view, { kind: "output", n: view.n, f: view.f, at: next }, true);
}

// Showing

// The image and the filter that a selection belongs to; a pixel leaves the filter, a weight the image.
function follow(view, { n = view.n, f = view.f }) {
  if (n === view.n && f === view.f) return;
  const regroup = firstChannel(view.conv, f) !== firstChannel(view.conv, view.f);
  Object.assign(view, { n, f });
  if (regroup) return drawAll(view);
  for (const grid of view.grids) if (grid.sheet.follows) grid.refill();
  view.grids.forEach(titled);
  view.choices.replaceChildren(...choicesOf(view));
  reworded(view.choices, view.app);
}

function light(view) {
  const { selected, pinned } = view.app.state;
  if (selected) follow(view, selected);
  const marks = marksOf(view.conv, selected, view);
  reveal(view, marks);
  for (const grid of view.grids) grid.mark(grid.sheet.places(marks));
  view.node.dataset.pinned = pinned ? "yes" : "no";
  tell(view, selected);
}

// Scrolls the product scheme to the row of an output, and to the first copy of a pixel.
function reveal(view, marks) {
  const [place] = view.columns.sheet.places(marks);
  if (place && !view.columns.frame.matches(":hover, :focus-within")) revealed(scrollerOf(view.columns), view.columns.sheet, place);
}

function tell(view, selected) {
  const told = selected ? toldOf(view.app, view, selected) : { head: "", line: view.app.say("hint"), body: [] };
  view.where.textContent = told.head;
  view.live.textContent = told.line;
  view.boxHead.textContent = told.head;
  view.boxBody.replaceChildren(...told.body.flat().filter(Boolean));
  view.box.style.minHeight = `${(view.tallest = Math.max(view.tallest, view.box.offsetHeight))}px`;
}

function choicesOf(view) {
  const { app, conv } = view;
  const layers = app.facts.convolutions.map(({ layer }) => ({ value: layer, text: layer }));
  const many = ([start, stop], names) => rangeOf(start, stop).map((value) => ({ value, text: names[value] ? `${value} ${names[value]}` : String(value) }));
  const go = (changes) => {
    const { selected } = app.state;
    const place = selected && selected.kind === "output" ? selected : firstSelection(view);
    if (place) choose(view, { ...place, n: view.n, f: view.f, ...changes }, app.state.pinned);
  };
  const found = [
    choice("layer", layers, conv.layer, (layer) => app.set({ layer })),
    choice("image", many(conv.box.n, []), view.n, (n) => go({ n })),
    choice("filterChoice", many(conv.box.f, view.filterNames), view.f, (f) => go({ f })),
  ].filter(Boolean);
  return found;
}

// Building

function sizesText(view) {
  const { conv, app } = view;
  const list = (values) => (values.every((value) => String(value) === String(values[0])) ? String(values[0]) : values.join(","));
  const pads = conv.pads.map(([before, after]) => (before === after ? String(before) : `[${before},${after}]`));
  const told = { stride: list(conv.stride), pad: list(pads), dilation: list(conv.dilation), groups: conv.groups };
  const sums = conv.out.map((size, axis) => {
    const span = (conv.kernel[axis] - 1) * conv.dilation[axis] + 1;
    return `${conv.outLetters[axis]} = ⌊(${conv.padded[axis]} − ${span}) / ${conv.stride[axis]}⌋ + 1 = ${size}`;
  });
  const mode = conv.padMode === "constant" ? "" : ` (${conv.padMode})`;
  return `${app.say("sizes", { ...told, mode })}; ${sums.join(", ")}`;
}

function cropText(view) {
  const { box } = view.conv;
  const whole = ["n", "f"].every((side) => box[side][1] - box[side][0] === view.conv[side === "n" ? "batch" : "filters"]);
  const all = whole && box.out.every(([start, stop], axis) => stop - start === view.conv.out[axis]);
  const told = (letter, [start, stop]) => `${letter} ${start}–${stop - 1}`;
  const spans = [told("n", box.n), told("f", box.f), ...box.out.map((span, axis) => told(view.conv.outLetters[axis], span))];
  return all ? "" : view.app.say("crop", { part: spans.join(", ") });
}

function drawAll(view) {
  Object.assign(view, { grids: [], cells: 0, tallest: 0 });
  view.choices.replaceChildren(...choicesOf(view));
  view.maps.replaceChildren(...mapsNode(view));
  view.scheme.replaceChildren(schemeNode(view));
  view.sizes.textContent = sizesText(view);
  view.crop.textContent = cropText(view);
  reworded(view.node, view.app);
}

function frameOf(view) {
  const make = (tag, attributes, ...inside) => element(tag, attributes, ...inside);
  view.walker = walker(view.app, (by) => step(view, by), () => free(view));
  view.choices = make("div", { class: "choices" });
  view.sizes = make("p", { class: "sizes" });
  view.crop = make("p", { class: "note" });
  view.maps = make("div", { class: "maps" });
  view.boxHead = make("span", {});
  view.boxBody = make("div", { class: "wide", tabindex: "0", role: "region", "data-label": "arithmetic" });
  view.box = make("section", { class: "arithmetic" }, make("h3", {}, word("span", "arithmetic"), " ", view.boxHead), view.boxBody);
  view.scheme = make("div", {});
  view.where = make("span", { class: "where" });
  view.live = make("span", { class: "live", "aria-live": "polite" });
  const bar = make("div", { class: "bar" }, view.walker.node, make("p", {}, view.where, " ", view.live));
  view.node.replaceChildren(word("h2", "convolution"), view.sizes, view.crop, view.choices, view.maps, view.box, word("h3", "scheme"), view.scheme, bar);
}

async function open(app, node, at) {
  if (shown) shown.walker.stop();
  const view = Object.assign(await viewOf(app), { node });
  frameOf(view);
  const selected = firstSelection(view, at);
  Object.assign(view, selected ? { n: selected.n, f: selected.f } : {});
  drawAll(view);
  shown = view;
  Object.assign(app.state, { selected, pinned: Boolean(at) });
  light(view);
}

export const convolutionView = {
  async build(app) {
    const { convolutions = [], lacks = [] } = app.facts;
    if (!convolutions.length && !lacks.length) return null;
    const node = element("section", { id: "convolution" });
    if (!convolutions.length) node.append(word("h2", "convolution"), element("p", {}, app.say("lacks", { arrays: lacks.join(", ") })));
    else await open(app, node, app.facts.start.at);
    node.addEventListener("keydown", (event) => event.key === "Escape" && shown && free(shown));
    return node;
  },
  async update(app, changes) {
    if (!shown) return;
    if ("layer" in changes && chosenConvolution(app) !== shown.conv) await open(app, shown.node);
    else if ("language" in changes) drawnAgain(shown);
    else if ("selected" in changes || "pinned" in changes) light(shown);
  },
};

// The same in another language.
function drawnAgain(view) {
  view.sizes.textContent = sizesText(view);
  view.crop.textContent = cropText(view);
  drawAll(view);
  light(view);
}
