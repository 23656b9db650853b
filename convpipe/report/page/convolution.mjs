// The convolution, cell by cell: input, filter and map above, the product of matrices below, and what a selection means.
import { toldOf } from "./arithmetic.mjs";
import { added } from "./cell.mjs";
import { choice, walker } from "./controls.mjs";
import { digitsOf } from "./digits.mjs";
import { classed, element, word } from "./dom.mjs";
import { countOf, depthOf, firstChannel, flatOf, isPadded, placeIn, rangeOf, sizesOf, wholeSpans } from "./geometry.mjs";
import { HEAD_HEIGHT, ROW_HEIGHT, tableGrid } from "./grid.mjs";
import { marksOf } from "./marks.mjs";
import { reworded } from "./page.mjs";
import { columnsSheet, matrixSheet, productSheet, rowsOf, volumeSheets } from "./sheets.mjs";

const MOST_TABLE_CELLS = 2000;
const MOST_CELLS = 5000;
const MOST_DRAWN = 8;
const [HEADS_WIDTH, PAPER_WIDTH] = [100, 620];
const SHORT_WIDTH = 10;
const [CHARACTER, CELL_SPACE, BOX_SPACE] = [7.3, 30, 90];

let shown = null;
let largeGrid = null;

// Pages whose grids may be large bring what draws them: canvasGrid.
export function drawLargeBy(makeGrid) {
  largeGrid = makeGrid;
}

const convolutionOf = ({ facts, state }) => facts.convolutions.find(({ layer }) => layer === state.layer);

// What is shown: the convolution, its arrays by their parts (`sums` holds what the sums come to), and the state.
async function viewOf(app, node) {
  const { convolutions, names = {} } = app.facts;
  const conv = convolutionOf(app) || convolutions[0];
  const read = await Promise.all(Object.values(conv.parts).map(app.array));
  const arrays = Object.fromEntries(Object.keys(conv.parts).map((part, index) => [part, read[index]]));
  arrays.product = arrays.product || arrays.feature_map;
  arrays.sums = arrays.sums || arrays.feature_map;
  const digits = Object.fromEntries(Object.entries(arrays).filter(([, array]) => array).map(([part, array]) => [part, digitsOf(array)]));
  const [channelNames = [], mapNames = []] = conv.layer ? [] : [names.input, names.feature_map];
  return { app, node, conv, arrays, digits, channelNames, mapNames, n: conv.box.n[0], f: conv.box.f[0], rows: rowsOf(conv) };
}

// An output: the one that was asked for, or else the first that the page has.
function firstOutput({ conv, arrays, n, f }, at) {
  if (!arrays.sums || !countOf(sizesOf(conv.box.out)) || conv.box.n[0] === conv.box.n[1]) return null;
  const [image, filter, ...place] = at || [n, f, ...conv.box.out.map(([start]) => start)];
  return { kind: "output", n: image, f: filter, at: place };
}

// Grids

function addGrid(view, sheet, title) {
  const { grids, app } = view;
  const cells = sheet.rows * sheet.columns;
  const large = largeGrid && (cells > MOST_TABLE_CELLS || cells + view.cells > MOST_CELLS);
  if (!large) view.cells += cells;
  const select = (act) => (r, c) => act(view, sheet.select(r, c));
  const on = { hover: select(preview), pick: select(pick), move: select((_, selected) => app.set({ selected })) };
  const caption = element("figcaption", { id: `grid-${grids.length}` });
  const grid = cells ? (large ? largeGrid : tableGrid)(sheet, on) : { node: element("div"), mark: () => {}, refill: () => {} };
  grid.node.setAttribute("aria-labelledby", caption.id);
  const wide = classed("div", "wide", grid.node);
  Object.assign(grid, { sheet, caption, title, scroller: grid.scroller || wide, frame: element("figure", {}, caption, wide) });
  titled(grid);
  grids.push(grid);
  return grid;
}

function titled({ caption, title }) {
  caption.textContent = title();
}

const withName = (text, name, plane) => text + (name ? ` ${name}` : "") + (plane ? `, ${plane}` : "");

function volume(view, part, c, title) {
  const grids = volumeSheets(view, part, c).map((sheet) => addGrid(view, sheet, () => title(sheet.plane)));
  return classed("div", "planes", grids.map(({ frame }) => frame));
}

const family = (sign, key, look, ...inside) => classed("section", look, element("h3", {}, sign, word("span", key)), classed("div", "volumes", inside));

// The channels that are drawn: those of the filter first.
export function drawnChannels(conv, f) {
  const first = firstChannel(conv, f);
  const own = rangeOf(first, first + depthOf(conv));
  return [...own, ...rangeOf(0, conv.channels).filter((c) => !own.includes(c))].slice(0, MOST_DRAWN);
}

function mapsNodes(view) {
  const { conv, app, arrays, channelNames, mapNames } = view;
  const channels = drawnChannels(conv, view.f);
  const first = firstChannel(conv, view.f);
  const own = channels.slice(0, depthOf(conv));
  const title = (c) => (plane) => withName(app.say("channelNumber", { c }), channelNames[c], plane);
  const leftOut = (drawn, all) => (drawn < all ? classed("p", "note", app.say("moreDrawn", { drawn, all })) : null);
  const padded = channels.map((c) => volume(view, "padded", c, title(c)));
  const parts = [family("", isPadded(conv) ? "paddedInput" : "input", "padded", padded, leftOut(channels.length, conv.channels))];
  if (arrays.filters) {
    const filters = own.map((c) => volume(view, "filters", c - first, title(c)));
    parts.push(family("∗ ", "filter", "filters", filters, leftOut(own.length, depthOf(conv))));
  }
  if (arrays.feature_map) {
    const map = volume(view, "feature_map", 0, (plane) => withName(`n=${view.n}, f=${view.f}`, mapNames[view.f], plane));
    parts.push(family("= ", "featureMap", "map", map));
  }
  return parts;
}

const MAKERS = { columnMatrix: "im2col", product: "matmul" };

// The product scheme: the filter matrix above the product, the column matrix at its left.
function schemeNode(view) {
  const { app, arrays } = view;
  const part = (look, sheet, key, made) => {
    const name = made || (view.conv.stages.includes(MAKERS[key]) ? MAKERS[key] : "");
    const grid = addGrid(view, sheet, () => app.say(key) + (name && ` (${name})`));
    grid.frame.classList.add(look);
    return grid;
  };
  const matrix = arrays.filters && part("matrix", matrixSheet(view), "filterMatrix", "fil2col.T");
  view.columns = part("columns", columnsSheet(view), "columnMatrix");
  const product = arrays.product && part("product", productSheet(view), "product");
  if (product) together(view.columns.scroller, product.scroller, "scrollTop");
  if (product && matrix) together(matrix.scroller, product.scroller, "scrollLeft");
  return classed("div", "scheme", schemeText(view), [matrix, view.columns, product].filter(Boolean).map(({ frame }) => frame));
}

// Two grids whose rows, or columns, stay side by side.
function together(one, other, side) {
  const follow = (leader, follower) => leader.addEventListener("scroll", () => {
    if (follower[side] !== leader[side]) follower[side] = leader[side];
  });
  follow(one, other);
  follow(other, one);
}

function schemeText({ app, conv, arrays }) {
  const [filters, taps] = [conv.filters, depthOf(conv) * countOf(conv.kernel)];
  const outputs = conv.batch * countOf(conv.out);
  const told = { filters, taps, outputs, rows: outputs, columns: conv.channels * countOf(conv.kernel), macs: outputs * taps * filters };
  const said = (key) => element("p", {}, app.say(key, told));
  const implicit = conv.stages.includes("im2col") ? null : word("p", "implicitMeaning", { class: "note" });
  const whole = [said("schemeMeaning"), conv.groups === 1 ? said("shapes") : null, said("macsMeaning")];
  return classed("div", "legend", arrays.product && arrays.filters ? whole : null, added.note(conv, app), implicit);
}

// What letters and colours mean.
function legend({ app, conv, arrays, digits }) {
  const there = { window: true, weight: arrays.filters, result: arrays.product, feeds: arrays.product, chosen: true, padding: isPadded(conv) };
  const looks = Object.keys(there).filter((look) => there[look]);
  const items = looks.map((look) => element("li", {}, classed("span", `swatch ${look}`, look === "padding" ? "(0)" : "0"), " ", word("span", `${look}Look`)));
  const pad = conv.pads.map(([before]) => before).join(", ");
  const padded = isPadded(conv) ? ` ${app.say("lettersPadded", { pad })}` : "";
  const rounded = digits.padded.whole ? "" : ` ${app.say("rounded")}`;
  return [element("p", { class: "note" }, app.say("letters") + "." + padded + rounded), element("ul", {}, items, word("li", "scrolls"))];
}

// Selecting

function preview({ app }, selected) {
  if (!app.state.pinned) app.set({ selected });
}

function pick({ app, walker }, selected) {
  const { selected: before, pinned } = app.state;
  walker.stop();
  app.set({ selected, pinned: !(pinned && JSON.stringify(before) === JSON.stringify(selected)) });
}

// The next output of the map, in the order of its rows.
function step(view, by) {
  const { conv, app, n, f } = view;
  const first = firstOutput(view);
  if (!first) return;
  const { selected } = app.state;
  const sizes = sizesOf(conv.box.out);
  const from = selected && selected.kind === "output" ? flatOf(selected.at.map((index, axis) => index - first.at[axis]), sizes) : -1;
  const at = placeIn((from + by + countOf(sizes)) % countOf(sizes), sizes).map((index, axis) => index + first.at[axis]);
  app.set({ selected: { kind: "output", n, f, at }, pinned: true });
}

// Showing

// On paper nothing scrolls: a table that is too wide stands there channel by channel.
function toPaper(view) {
  if (!view.columns.scroller.querySelector("table")) return;
  const { sheet, scroller } = view.columns;
  const taps = countOf(view.conv.kernel);
  const marks = sheet.places(marksOf(view.conv, view.app.state.selected, view));
  const parts = rangeOf(0, sheet.columns / taps).map((c) => partOf(sheet, c * taps, taps, marks));
  fromPaper(view);
  scroller.after((view.paper = classed("div", "paper", parts)));
  for (const part of parts) part.style.zoom = Math.min(1, PAPER_WIDTH / (sheet.characters * CHARACTER + CELL_SPACE / 2) / taps);
}

function partOf(sheet, start, count, marks) {
  const at = (read) => (r, k) => read(r, k + start);
  const heads = sheet.columnHeads.map(({ text, span }) => ({ text: (k) => text(k + start), span }));
  const part = { ...sheet, columns: count, columnHeads: heads, text: at(sheet.text), padding: at(sheet.padding), ruleAfter: () => false };
  const { node, mark } = tableGrid(part, {});
  mark(marks.map(([r, k, high, wide, look]) => [r, Math.max(0, k - start), high, Math.min(count, k + wide - start) - Math.max(0, k - start), look]));
  return node;
}

function fromPaper(view) {
  if (view.paper) view.paper.remove();
}

// The image and the filter that a selection belongs to; a pixel leaves the filter, a weight the image.
function follow(view, { n = view.n, f = view.f }) {
  if (n === view.n && f === view.f) return;
  const regroup = firstChannel(view.conv, f) !== firstChannel(view.conv, view.f);
  const changed = [n !== view.n && "n", f !== view.f && "f"];
  Object.assign(view, { n, f });
  if (regroup) return drawAll(view);
  for (const grid of view.grids) if (grid.sheet.follows.some((index) => changed.includes(index))) grid.refill();
  view.grids.forEach(titled);
  showChoices(view);
}

// Everything is changed before anything is measured, so that the browser lays the page out once.
function light(view) {
  const { selected, pinned } = view.app.state;
  if (selected) follow(view, selected);
  const marks = marksOf(view.conv, selected, view);
  const places = view.grids.map(({ sheet }) => sheet.places(marks));
  view.grids.forEach((grid, index) => grid.mark(places[index]));
  view.node.dataset.pinned = pinned ? "yes" : "no";
  tell(view, selected);
  view.tallest = Math.max(view.tallest, view.box.offsetHeight);
  view.grids.forEach((grid, index) => reveal(grid, places[index]));
  for (const { caption, scroller } of view.grids) {
    caption.dataset.more = (scroller.scrollWidth > scroller.clientWidth + 1 ? " ↔" : "") + (scroller.scrollHeight > scroller.clientHeight + 1 ? " ↕" : "");
  }
  view.box.style.minHeight = `${view.tallest}px`;
}

// Scrolls a grid to the first of its marks, unless one is pointing at it.
function reveal({ sheet, scroller, frame }, [place]) {
  if (!place || frame.matches(":hover, :focus-within")) return;
  const heads = HEAD_HEIGHT * (sheet.tall || sheet.columnHeads.length);
  const [top, left] = [place[0] * ROW_HEIGHT, (place[1] * scroller.scrollWidth) / sheet.columns];
  const [high, wide] = [scroller.clientHeight - heads - ROW_HEIGHT, scroller.clientWidth - HEADS_WIDTH * 2];
  if (top < scroller.scrollTop || top > scroller.scrollTop + high) scroller.scrollTop = top - high / 2;
  if (left < scroller.scrollLeft || left > scroller.scrollLeft + wide) scroller.scrollLeft = left - HEADS_WIDTH;
}

function tell(view, selected) {
  const { app } = view;
  const { head, line, body } = selected ? toldOf(view, selected) : { head: "", line: app.say("hint"), body: [element("p", {}, app.say("hint"))] };
  view.where.textContent = head;
  view.boxHead.textContent = app.state.pinned ? `${head} ${app.say("kept")}` : head;
  view.live.textContent = line;
  view.boxBody.replaceChildren(...body.flat().filter(Boolean));
}

function offerChoices(view) {
  const { app, conv, mapNames } = view;
  const layers = app.facts.convolutions.map(({ layer }) => ({ value: layer, text: layer }));
  const numbers = (span, names) => rangeOf(...span).map((value) => ({ value, text: withName(String(value), names[value]) }));
  const go = (changes) => {
    const { selected } = app.state;
    const place = selected && selected.kind === "output" ? selected : firstOutput(view);
    if (place) app.set({ selected: { ...place, n: view.n, f: view.f, ...changes } });
  };
  const summed = (options) => (view.arrays.sums ? options : []);
  view.choice = {
    layer: choice("layer", layers, (layer) => app.set({ layer })),
    n: choice("image", summed(numbers(conv.box.n, [])), (n) => go({ n })),
    f: choice("filterChoice", summed(numbers(conv.box.f, mapNames)), (f) => go({ f })),
  };
  view.choices.replaceChildren(...Object.values(view.choice).map(({ node }) => node).filter(Boolean));
  showChoices(view);
}

function showChoices({ choice: { layer, n, f }, conv, ...view }) {
  layer.show(conv.layer);
  n.show(view.n);
  f.show(view.f);
}

function sizesText({ conv, app }) {
  const { kernel, dilation, spatial, stride } = conv;
  const list = (values) => (values.every((value) => String(value) === String(values[0])) ? values[0] : values.join(","));
  const pads = conv.pads.map(([before, after]) => (before === after ? before : `[${before},${after}]`));
  const around = ([before, after]) => (before === after ? `2·${before}` : `${before} + ${after}`);
  const reach = (axis) => (dilation[axis] === 1 ? kernel[axis] : `((${kernel[axis]} − 1)·${dilation[axis]} + 1)`);
  const sums = conv.out.map((size, axis) => `${conv.outLetters[axis]} = (${spatial[axis]} + ${around(conv.pads[axis])} − ${reach(axis)}) // ${stride[axis]} + 1 = ${size}`);
  const mode = conv.padMode === "constant" ? "" : ` (${conv.padMode})`;
  return `${app.say("sizes", { stride: list(stride), pad: list(pads) + mode, dilation: list(dilation), groups: conv.groups })}; ${sums.join(", ")}`;
}

function cropText({ conv, app }) {
  const { n, f, out } = conv.box;
  const spans = [n, f, ...out];
  const part = ["n", "f", ...conv.outLetters].map((letter, index) => `${letter} ${spans[index][0]}..${spans[index][1] - 1}`).join(", ");
  return String(spans) === String(wholeSpans([conv.batch, conv.filters, ...conv.out])) ? "" : app.say("crop", { part });
}

// How wide the numbers of the arithmetic may become, so that no cell moves another: whole ones are as long as they are.
function blockWidths({ conv, digits }) {
  const of = (part) => (part.whole ? part.characters : SHORT_WIDTH);
  const filters = digits.filters ? of(digits.filters) : 1;
  const pixel = of(digits.padded) + (isPadded(conv) ? 2 : 0);
  return { pixels: pixel, weights: filters, added: Math.min(of(digits.padded) + filters, SHORT_WIDTH) + 2 };
}

function drawAll(view) {
  Object.assign(view, { grids: [], cells: 0, tallest: 0 });
  view.box.style.minHeight = "";
  const widths = blockWidths(view);
  for (const [name, characters] of Object.entries(widths)) view.box.style.setProperty(`--${name}`, characters);
  const characters = Object.values(widths).reduce((sum, width) => sum + width, 0);
  view.box.style.flexBasis = `${(characters * CHARACTER + CELL_SPACE) * view.conv.kernel.at(-1) + BOX_SPACE}px`;
  offerChoices(view);
  view.maps.replaceChildren(...mapsNodes(view), view.box);
  view.matrices.replaceChildren(schemeNode(view));
  view.legend.replaceChildren(...legend(view));
  view.sizes.textContent = sizesText(view);
  view.crop.textContent = cropText(view);
  reworded(view.node, view.app);
}

function frameOf(view) {
  const { app } = view;
  const free = () => app.set({ pinned: false });
  view.walker = walker(app, (by) => step(view, by), free);
  for (const name of ["choices", "legend", "maps", "matrices"]) view[name] = classed("div", name);
  for (const name of ["sizes", "crop"]) view[name] = classed("p", "note");
  for (const name of ["where", "boxHead"]) view[name] = classed("span", name);
  view.live = element("strong", { class: "live", "aria-live": "polite" });
  view.boxBody = element("div", { class: "wide", tabindex: "0", role: "region", "data-label": "arithmetic" });
  view.box = classed("section", "arithmetic", element("h3", {}, word("span", "arithmetic"), " ", view.boxHead), view.boxBody);
  const bar = classed("div", "bar", view.arrays.sums ? view.walker.node : null, element("p", { tabindex: "0" }, view.where, " ", view.live));
  view.node.replaceChildren(word("h2", "convolution"), word("p", "hint", { class: "note" }), view.sizes, view.crop, view.legend, view.choices, view.maps, word("h3", view.arrays.product ? "scheme" : "columnsOnly"), view.matrices, bar);
}

async function open(app, node, at) {
  const view = await viewOf(app, node);
  const focused = shown && shown.choices.contains(document.activeElement);
  if (shown) shown.walker.stop();
  const selected = firstOutput(view, at);
  if (selected) Object.assign(view, { n: selected.n, f: selected.f });
  frameOf(view);
  drawAll(view);
  shown = view;
  Object.assign(app.state, { selected, pinned: Boolean(at) });
  light(view);
  if (focused) view.choices.querySelector("select, [aria-pressed=true]").focus();
  requestAnimationFrame(() => light(view));
}

// Where the values of a stage stand; those of later ones in the map.
const STAGES = { input: "padded", pad: "padded", filters: "filters", im2col: "columns", fil2col: "matrix", matmul: "product" };

function lead(view, stage) {
  const looks = [STAGES[stage.split("/").at(-1).replace(/_\d+$/, "")], "map", "product", "maps"];
  const target = looks.map((look) => look && view.node.querySelector(`.${look}`)).find(Boolean);
  // after the table of stages, which scrolls to all of the view
  setTimeout(() => target.scrollIntoView({ behavior: "smooth", block: "center" }));
}

function keyPressed(event) {
  const by = { ArrowLeft: -1, ArrowRight: 1 }[event.key];
  if (by && shown && event.target === document.body) step(shown, by);
  if (event.key !== "Escape" || !shown) return;
  shown.walker.stop();
  shown.app.set({ pinned: false });
}

export const convolutionView = {
  async build(app) {
    const { convolutions = [], lacks = [], start } = app.facts;
    const node = element("section", { id: "convolution" });
    document.addEventListener("keydown", keyPressed);
    addEventListener("beforeprint", () => shown && toPaper(shown));
    addEventListener("afterprint", () => shown && fromPaper(shown));
    if (convolutions.length) await open(app, node, start.layer && !convolutionOf(app) ? null : start.at);
    else if (lacks.length) node.append(word("h2", "convolution"), element("p", {}, app.say("lacks", { arrays: lacks.join(", ") })));
    else return null;
    return node;
  },
  async update(app, changes) {
    if (!shown) return;
    const wanted = "layer" in changes && convolutionOf(app);
    if (wanted && wanted !== shown.conv) await open(app, shown.node);
    else if ("language" in changes) drawAll(shown);
    if ("language" in changes || "selected" in changes || "pinned" in changes) light(shown);
    if (changes.stage) lead(shown, changes.stage);
  },
};
