// The graph of layers, the maps of one of them, and how one of their cells came about.
import { answersPart, updateAnswers } from "./answers.mjs";
import { cellReads, cellStory } from "./cell.mjs";
import { element, word } from "./dom.mjs";
import { drawnGraph, markNode, sizesText } from "./graph.mjs";
import { fillLayer, markLayer } from "./layer.mjs";
import { sourcesPart } from "./sources.mjs";

const parts = {};

export function firstNode(facts) {
  const asked = facts.start && facts.start.layer;
  const node = facts.graph.find((each) => each.name === asked) || facts.graph.find((each) => each.inputs.length);
  return (node || facts.graph[0]).name;
}

const nodeOf = (facts, name) => facts.graph.find((node) => node.name === name);

// The arrays of a node and of what it reads, by name; null for those that the page does not have.
async function arraysOf(app, node) {
  const names = [node.array, ...Object.values(node.reads || {})];
  const found = await Promise.all(names.map((name) => app.array(name)));
  return new Map(names.map((name, at) => [name, found[at]]));
}

function headOf(app, node) {
  const letters = node.axes.map((axis, at) => `${axis}=${node.shape[at]}`).join(", ");
  return [
    element("h3", {}, element("b", {}, node.name), ` ${node.op}`),
    element("p", { class: "shape" }, `${sizesText(node.shape)}${letters ? ` (${letters})` : ""}, ${node.dtype}`),
  ];
}

// Shows a node: its head, its maps, and a place for the story of a cell.
async function showNode(app) {
  const node = nodeOf(app.facts, app.state.node);
  parts.drawing = node.name;
  const arrays = await arraysOf(app, node);
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
  const story = indices && readable(parts.node.array) ? cellStory(parts.node, indices, readable) : null;
  parts.story.textContent = story ? storyText(app, story) : app.say(indices ? "cell_left_out" : "choose_cell");
  parts.toConvolution.hidden = !parts.node.conv;
  parts.sources.replaceChildren(...(indices ? sourcesPart(app, parts, cellReads(parts.node, indices)) : []));
}

export function storyText(app, story) {
  if (story.missing) return `${story.name} = ${story.stored} (${app.say("operand_left_out", { name: story.missing })})`;
  return [story.name, story.formula, story.stored].filter((part) => part !== null).join(" = ");
}

function openConvolution(app) {
  const indices = chosenIndices(app);
  app.set({ layer: parts.node.name, ...(indices ? { at: indices, pinned: true } : {}) });
  const target = document.getElementById("convolution");
  if (target) target.scrollIntoView({ behavior: "smooth" });
}

function choose(app, name) {
  const node = nodeOf(app.facts, name);
  app.set({ node: name, cell: null, cellPinned: false, ...(node.conv ? { layer: name } : {}) });
}

export const networkView = {
  async build(app) {
    if (!app.facts.graph || !app.facts.graph.length) return null;
    app.state.node ||= firstNode(app.facts);
    app.state.image ||= 0;
    parts.graph = drawnGraph(app.facts.graph, (name) => choose(app, name));
    parts.head = element("div", {});
    parts.maps = element("div", {});
    parts.story = element("p", { class: "story", "aria-live": "polite" });
    parts.toConvolution = word("button", "to_convolution", { type: "button", onclick: () => openConvolution(app) });
    parts.sources = element("div", { class: "sources" });
    parts.panel = element("div", { class: "chosen" }, parts.head, parts.story, parts.toConvolution,
      element("div", { class: "beside" }, parts.maps, parts.sources));
    parts.answers = await answersPart(app);
    await showNode(app);
    return element("section", { id: "network" }, word("h2", app.facts.network ? "network" : "operation_graph"),
      word("p", "network_hint", { class: "hint" }), element("div", { class: "network" }, parts.graph, parts.panel),
      parts.answers);
  },
  update(app, changes) {
    if (!parts.graph) return;
    if ("node" in changes || "image" in changes) showNode(app);
    else if ("cell" in changes || "language" in changes) showCell(app);
    if ("language" in changes) updateAnswers(app);
  },
};
