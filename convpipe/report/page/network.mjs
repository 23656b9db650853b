// The graph of layers, the maps of one of them, and how one of their cells came about.
import { answersPart, updateAnswers } from "./answers.mjs";
import { inEnglish } from "./blocks.mjs";
import { cellReads, cellStories, formIndices } from "./story.mjs";
import { element, word } from "./dom.mjs";
import { drawnGraph, markNode, shapeText } from "./graph.mjs";
import { fillLayer, markLayer } from "./layer.mjs";
import { lettersOf, planesOfArray } from "./maps.mjs";
import { sourcesPart } from "./sources.mjs";

const parts = {};

export function firstNode(facts) {
  const asked = facts.start && facts.start.layer;
  const { graph } = facts, last = graph[graph.length - 1];
  return (graph.find((each) => each.name === asked) || graph.find((each) => each.conv) || last).name;
}

const nodeOf = (facts, name) => facts.graph.find((node) => node.name === name);

// The arrays of a node and of what it reads, by name; null for those that the page does not have.
async function nodeArrays(app, node) {
  const { whole } = node;
  const names = [node.array, ...Object.values(node.reads || {}), ...Object.values(whole ? whole.reads : {})];
  if (whole && whole.padded) names.push(whole.padded.of);
  const maps = (name) => app.array(`maps:${name}`);
  const found = await Promise.all(names.map(async (name) => (await maps(name)) || app.array(name)));
  return new Map(names.map((name, at) => [name, found[at]]));
}

function headingOf({ network, convolutions }) {
  if (network) return "network";
  return convolutions.length ? "pictures" : "operationGraph";
}

function headOf(app, node) {
  const letters = lettersOf(node).map((axis, at) => `${axis}=${node.shape[at]}`).join(", ");
  const values = { "data-values": JSON.stringify({ name: node.op }) };
  const op = node.inputs.length ? node.op : word("span", "given", values);
  const readers = app.facts.graph.filter((each) => each.inputs.includes(node.name)).map((each) => each.name);
  return [
    element("h3", {}, node.name),
    element("p", { class: "shape" }, op, `: ${shapeText(node.shape)}${letters ? ` (${letters})` : ""}, ${node.dtype}`),
    element("p", { class: "hint" }, leading(app, "reads", [...new Set(node.inputs)]), leading(app, "readBy", readers)),
  ];
}

// The nodes before and after one, as buttons that lead to them.
function leading(app, key, names) {
  if (!names.length) return null;
  const button = (name) => element("button", { type: "button", class: "link", onclick: () => chooseNode(app, name) }, name);
  return element("span", { class: "leading" }, word("span", key), names.map((name) => [" ", button(name)]));
}

// Shows a node: its head, its maps, and a place for the story of a cell.
async function showNode(app) {
  const node = nodeOf(app.facts, app.state.node);
  parts.drawing = node.name;
  const arrays = await nodeArrays(app, node);
  if (parts.drawing !== node.name) return;
  Object.assign(parts, { node, arrays, drawnSources: new Map() });
  markNode(parts.graph, node.name);
  parts.head.replaceChildren(...headOf(app, node));
  fillLayer(app, parts);
  app.reword(parts.panel);
  showCell(app);
}

const readable = (name) => parts.arrays.get(name) || null;

// The indices of the chosen cell in the node's array; null where none is chosen or it is not there.
function chosenIndices(app) {
  const { cell, image } = app.state;
  if (!cell || !parts.layer) return null;
  return parts.layer.planes.at(Math.min(image || 0, parts.layer.planes.images - 1), cell.map, cell.y, cell.x);
}

function showCell(app) {
  const indices = chosenIndices(app);
  markLayer(app, parts, indices);
  const tell = app.state.language === "en" ? inEnglish : app.say;
  const stories = indices && readable(parts.node.array) ? cellStories(parts.node, indices, readable, tell) : null;
  parts.story.textContent = stories ? storyText(app, stories[0]) : app.say(indices ? "cellLeftOut" : "chooseCell");
  parts.place.textContent = indices ? placeText(app, parts.node, indices) : "";
  parts.told.replaceChildren(...(stories || []).flatMap((story, at) => storyNodes(app, story, at)));
  parts.toConvolution.hidden = !parts.node.conv;
  parts.sources.replaceChildren(...(indices ? sourcesPart(app, parts, cellReads(parts.node, indices)) : []));
}

// Where a cell is, by the letters of the axes, and whether it is pinned.
function placeText(app, node, indices) {
  const places = lettersOf(node).map((axis, at) => `${axis.split("/")[0].toLowerCase()}=${indices[at]}`).join(", ");
  return `${node.name}: ${places}. ${app.say(app.state.cellPinned ? "cellPinned" : "cellFree")}`;
}

export function storyText(app, story) {
  if (story.missing) return `${story.name} = ${story.stored} (${app.say("operandLeftOut", { name: story.missing })})`;
  return [story.name, story.formula, story.stored].filter((part) => part !== undefined).join(" = ");
}

// What is told below the first line: what several stages come to together, and the blocks of a sum.
function storyNodes(app, story, at) {
  const head = element("b", {}, story.whole ? app.say("together", { op: story.whole }) : "");
  const line = at ? element("p", {}, head, " ", storyText(app, story)) : null;
  const steps = (story.steps || []).map(([words, text]) => element("p", { class: "step" }, `${words}: ${text}`));
  if (!story.parts) return [...steps, line].filter(Boolean);
  const { places, blocks, more } = story.parts;
  const block = (lines) => element("pre", {}, lines.join("\n").trim());
  const region = { class: "wide blocks", tabindex: 0, role: "region", "aria-label": app.say("sumBlocks") };
  return [line, ...places.map((text) => element("p", { class: "places" }, text)), places.length ? paddedNote(app) : null,
    element("div", region, [...blocks, ...(more.length ? [more] : [])].map(block))].filter(Boolean);
}

// How places in the padded image are those of the image.
function paddedNote(app) {
  const before = ((parts.node.whole || {}).padded || { before: [] }).before.slice(2);
  if (!before.some(Boolean)) return null;
  return element("p", { class: "hint" }, app.say("paddedPlaces", { before: before.join(", ") }));
}

// Whether the page's part of a convolution has a cell (n, f, position).
export function isInBox(convolution, [n, f, ...position]) {
  const { box } = convolution;
  const inside = (place, [start, stop]) => start <= place && place < stop;
  return inside(n, box.n) && inside(f, box.f) && position.every((place, axis) => inside(place, box.out[axis]));
}

// Leads to the convolution below, and there to the chosen cell.
async function openConvolution(app) {
  const layer = layerOfNode(app, parts.node), { whole } = parts.node;
  const chosen = chosenIndices(app), indices = chosen && whole ? formIndices(whole, chosen) : chosen;
  const convolution = app.facts.convolutions.find((each) => each.layer === layer);
  await app.set({ layer });
  if (convolution && indices && isInBox(convolution, indices)) {
    const [n, f, ...at] = indices;
    app.set({ selected: { kind: "output", n, f, at }, pinned: true });
  }
  const target = document.getElementById("convolution");
  if (target) target.scrollIntoView({ behavior: "smooth" });
}

// Indices in the order n, f, y, x as an array with its channels last has them.
export function placedIndices(axes, [n, f, ...position]) {
  const last = axes.length > 2 && axes[0] === "N" && axes[axes.length - 1] === "F";
  return last ? [n, ...position, f] : f === undefined ? [n] : [n, f, ...position];
}

// The cell that the page opens with, where that is one of the layer shown first.
export function askedCell(facts) {
  const { at, layer } = facts.start || {};
  const node = nodeOf(facts, firstNode(facts));
  if (!at || (layer || node.name) !== node.name || at.length !== node.shape.length) return {};
  const { image, ...cell } = planesOfArray(lettersOf(node), node.shape).spot(placedIndices(node.axes, at));
  return { image, cell, cellPinned: true };
}

// The layer whose convolution a node is; null for that of a run without layers.
const layerOfNode = (app, node) => (app.facts.network ? node.name : null);

function chooseNode(app, name) {
  const node = nodeOf(app.facts, name);
  app.set({ node: name, cell: null, cellPinned: false, ...(node.conv ? { layer: layerOfNode(app, node) } : {}) });
}

// What the looks of boxes mean.
function graphLegend({ convolutions }) {
  const looks = [...(convolutions.length ? ["convBox"] : []), "givenBox", "chosenBox"];
  return element("p", { class: "hint boxes" }, looks.map((key) =>
    element("span", {}, element("span", { class: `box ${key}`, "aria-hidden": "true" }), word("span", key))));
}

export const networkView = {
  async build(app) {
    if (!app.facts.graph || !app.facts.graph.length) return null;
    app.state.node ||= firstNode(app.facts);
    Object.assign(app.state, { image: 0, cell: null, cellPinned: false, ...askedCell(app.facts) });
    parts.graph = drawnGraph(app.facts.graph, (name) => chooseNode(app, name));
    parts.head = element("div", {});
    parts.maps = element("div", {});
    parts.story = element("p", { class: "story", "aria-live": "polite" });
    parts.place = element("p", { class: "hint place" });
    parts.told = element("div", { class: "told" });
    parts.toConvolution = word("button", "toConvolution", { type: "button", onclick: () => openConvolution(app) });
    parts.sources = element("div", { class: "sources" });
    const telling = element("div", { class: "telling", tabindex: 0, role: "region", "data-label": "telling" },
      parts.story, parts.place, parts.sources, parts.told, parts.toConvolution);
    parts.panel = element("div", { class: "layer-panel" }, parts.head, element("div", { class: "beside" }, parts.maps, telling));
    parts.answers = await answersPart(app);
    await showNode(app);
    return element("section", { id: "network" }, word("h2", headingOf(app.facts)),
      word("p", "networkHint", { class: "hint" }), element("div", { class: "network" }, element("div", {}, parts.graph, graphLegend(app.facts)), parts.panel),
      parts.answers);
  },
  update(app, changes) {
    if (!parts.graph) return;
    if ("node" in changes || "image" in changes || "ownScales" in changes) showNode(app);
    else if ("cell" in changes || "cellPinned" in changes || "language" in changes) showCell(app);
    if ("language" in changes) updateAnswers(app);
  },
};
