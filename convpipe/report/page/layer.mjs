// The maps of one layer: which image, how many of them, and the cell that is pointed at.
import { element, word } from "./dom.mjs";
import { barRows, cellUnder, colourFigure, mapFigures, markCells, scaleLegend } from "./figures.mjs";
import { cutText } from "./graph.mjs";
import { exactAt } from "./story.mjs";
import { isColoured, numberAt, planesOfArray, scaleOf, scaleOfMap } from "./maps.mjs";
import { short } from "./numbers.mjs";

const MAPS_AT_ONCE = 64;
const MOST_BUTTONS = 12;
const LARGEST_VALUES = 10;

// The letters of the maps of a node, with the names that they have, if any.
export function mapName(facts, node, planes) {
  const names = (facts.names || {})[node.name === "input" ? "input" : facts.network ? "" : "feature_map"] || [];
  return (map) => (names[map] ? `${planes.label(map)} ${names[map]}` : planes.label(map));
}

// Which images there are: buttons for a few, a list for many.
function imageChoice(app, planes, image) {
  if (planes.images < 2) return null;
  const numbers = Array.from({ length: planes.images }, (_, at) => at + planes.first);
  const text = (number) => `${planes.image}=${number}`;
  if (planes.images <= MOST_BUTTONS) {
    return element("div", { class: "images", role: "group", "data-label": "images" }, numbers.map((number) =>
      element("button", {
        type: "button", "aria-pressed": String(number === image), onclick: () => app.set({ image: number }),
      }, text(number))));
  }
  const list = element("select", { "data-label": "images", onchange: () => app.set({ image: Number(list.value) }) },
    numbers.map((number) => element("option", { value: number, selected: number === image }, text(number))));
  return element("div", { class: "images" }, list);
}

const valued = (values) => ({ "data-values": JSON.stringify(values) });

// Puts the maps of the chosen node in their place; `parts.layer` is what they are.
export function fillLayer(app, parts) {
  const { node, maps } = parts, array = parts.arrays.get(node.array);
  parts.layer = null;
  if (!array) return maps.replaceChildren(word("p", "layerLeftOut", { class: "hint" }));
  const planes = shownPlanes(node, array), scale = scaleOf(array);
  const image = Math.max(planes.first, Math.min(app.state.image || 0, planes.first + planes.images - 1));
  parts.layer = { array, planes, scale, image, shown: Math.min(planes.count, MAPS_AT_ONCE), figures: [] };
  const grid = element("div", { class: `maps ${planes.kind}`, tabindex: 0, role: "group", "aria-label": node.name });
  watch(app, parts, grid);
  parts.grid = grid;
  fillGrid(app, parts);
  const more = planes.count > MAPS_AT_ONCE ? moreButton(app, parts) : null;
  const note = array.thumb ? word("p", "thumbnailNote", { class: "hint", ...valued(thumbnailValues(array)) }) : null;
  maps.replaceChildren(...[imageChoice(app, planes, image), legendOf(app, parts), scaleBox(app, parts), note,
    element("div", { class: "wide" }, grid), more, largestPart(parts)].filter(Boolean));
}

const thumbnailValues = (array) => ({ count: array.thumb.count, of: array.thumb.of, step: array.thumb.step });

// The planes of what the page has of an array: some images of it, or maps made small.
export function shownPlanes(node, array) {
  const planes = planesOfArray(node.axes, array.thumb ? array.shape : node.shape);
  const first = array.origin[0] || 0;
  if (planes.images < 2 && !first) return { ...planes, first: 0 };
  return { ...planes, images: array.shape[0], first };
}

// Whether each map has a scale of its own: as asked for, else where filters that a person has named are beside each other.
export function hasOwnScales(app, parts) {
  const { layer, node } = parts, possible = layer.planes.kind === "maps" && layer.planes.count > 1 && !layer.array.thumb;
  const usual = !app.facts.network && Boolean((app.facts.names || {}).feature_map) && Boolean(node.conv);
  return possible && (app.state.ownScales ?? usual);
}

// The scale of a map, worked out once.
function ownScale({ array, planes, scale, image }, own) {
  const known = new Map();
  return (map) => {
    if (!own) return scale;
    if (!known.has(map)) known.set(map, scaleOfMap(array, planes, image, map));
    return known.get(map);
  };
}

const rangeText = (array, { low, high }) =>
  [low, high].map((value) => short(array.dtype.includes("int") ? BigInt(value) : value)).join(" … ");

function scaleBox(app, parts) {
  const { planes, array } = parts.layer;
  if (planes.kind !== "maps" || planes.count < 2 || array.thumb) return null;
  const box = element("input", { type: "checkbox", id: "own-scales" });
  box.checked = hasOwnScales(app, parts);
  box.addEventListener("change", () => app.set({ ownScales: box.checked }));
  return element("p", { class: "hint" }, box, " ", word("label", "ownScales", { for: "own-scales" }));
}

function legendOf(app, parts) {
  const { node, layer } = parts;
  if (isColoured(node, layer.planes)) return null;
  const own = hasOwnScales(app, parts);
  return scaleLegend(layer.scale, node.span, own || layer.planes.kind === "bars" ? "range" : "rangeOfMaps", !own);
}

function fillGrid(app, parts) {
  const { node, layer, grid } = parts, { array, planes, scale, image } = layer;
  if (planes.kind === "bars") {
    const indices = Array.from({ length: planes.height }, (_, at) => planes.at(image, 0, at, 0));
    const texts = indices.map((at) => short(exactAt(array, at)));
    layer.figures = barRows(indices.map((at) => numberAt(array, at)), texts, scale);
  } else {
    const numbers = Array.from({ length: layer.shown }, (_, map) => map);
    const own = hasOwnScales(app, parts), scaleAt = ownScale(parts.layer, own);
    const name = mapName(app.facts, node, planes);
    const ranged = (map) => (own ? `${name(map)}: ${rangeText(array, scaleAt(map))}` : name(map));
    layer.figures = mapFigures(array, planes, image, numbers, scaleAt, ranged);
  }
  const coloured = isColoured(node, planes) ? [colourFigure(array, planes, image, "RGB")] : [];
  grid.replaceChildren(...coloured, ...layer.figures);
}

function moreButton(app, parts) {
  const button = word("button", "moreMaps", { type: "button", ...valued({ count: parts.layer.planes.count }) });
  button.addEventListener("click", () => {
    parts.layer.shown = parts.layer.planes.count;
    fillGrid(app, parts);
    button.remove();
  });
  return button;
}

// Of a long vector, the largest values with their numbers.
export function largestOf(values, most = LARGEST_VALUES) {
  return values.map((value, at) => [Number.isNaN(value) ? -Infinity : value, at]).sort((a, b) => b[0] - a[0] || a[1] - b[1]).slice(0, most).map(([, at]) => at);
}

function largestPart(parts) {
  const { array, planes, image } = parts.layer;
  if (planes.kind !== "strip") return null;
  const units = parts.node.shape[parts.node.shape.length - 1];
  const all = Array.from({ length: units }, (_, at) => planes.at(image, 0, Math.floor(at / planes.width), at % planes.width));
  const lines = largestOf(all.map((at) => numberAt(array, at))).map((unit) => {
    const exact = exactAt(array, all[unit]);
    return element("li", {}, `${unit}: ${exact === undefined ? "" : short(exact)}`);
  });
  return element("div", {}, word("h4", "largest"), element("ol", { class: "largest" }, lines));
}

// Marks the chosen cell.
export function markLayer(app, parts, indices) {
  if (!parts.layer) return;
  const { planes, figures } = parts.layer;
  const spot = indices ? planes.spot(indices) : null;
  figures.forEach((figure, map) => {
    if (planes.kind === "bars") figure.classList.toggle("own", Boolean(spot) && spot.y === map);
    else markCells(figure, spot && spot.map === map ? [spot] : [], "own");
  });
}

// Pointer and keys on the maps: pointing shows a cell, a click pins it, Escape frees it, arrow keys move it.
function watch(app, parts, grid) {
  const under = (event) => {
    const unit = event.target.closest("[data-unit]");
    return unit ? { map: 0, y: Number(unit.dataset.unit), x: 0 } : cellUnder(event, parts.layer.planes);
  };
  const same = (one, other) => one && other && one.map === other.map && one.y === other.y && one.x === other.x;
  grid.addEventListener("pointermove", (event) => {
    const cell = under(event);
    if (cell && !app.state.cellPinned && !same(cell, app.state.cell)) app.set({ cell });
  });
  grid.addEventListener("click", (event) => {
    const cell = under(event);
    if (cell) app.set({ cell, cellPinned: true });
  });
  grid.addEventListener("keydown", (event) => {
    const cell = movedCell(parts.layer.planes, app.state.cell, event.key, parts.layer.shown);
    if (event.key === "Escape") app.set({ cell: null, cellPinned: false });
    else if (cell) app.set({ cell, cellPinned: true });
    else return;
    event.preventDefault();
  });
}

// Where a key leads from a cell: arrows within its map, Page Up and Page Down to another map.
export function movedCell(planes, cell, key, shown = planes.count) {
  const step = {
    ArrowUp: [0, -1, 0], ArrowDown: [0, 1, 0], ArrowLeft: [0, 0, -1], ArrowRight: [0, 0, 1],
    PageUp: [-1, 0, 0], PageDown: [1, 0, 0],
  }[key];
  if (!step) return null;
  if (!cell) return { map: 0, y: 0, x: 0 };
  const kept = (value, count) => Math.max(0, Math.min(count - 1, value));
  return {
    map: kept(cell.map + step[0], shown), y: kept(cell.y + step[1], planes.height), x: kept(cell.x + step[2], planes.width),
  };
}
