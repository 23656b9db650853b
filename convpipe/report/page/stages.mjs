// The table of stages, which Python has made: a click on a row leads to where its values are seen.
import { element } from "./dom.mjs";

// The layer whose convolution a stage belongs to; null for the one of a run; undefined where there is none.
export function layerOf(facts, stage) {
  for (const convolution of facts.convolutions || []) {
    const inside = !convolution.layer || stage.startsWith(`${convolution.layer}/`) || stage === convolution.layer;
    if (inside) return convolution.layer;
  }
  return undefined;
}

// The node of the graph that shows a stage: its own, that of its layer, or the first that reads it, as weights are read.
export function nodeOfStage(graph, stage) {
  const owns = (node) => node.array === stage || node.name === stage;
  const reads = (node) => Object.values(node.reads || {}).includes(stage) || stage.startsWith(`${node.name}/`);
  return graph.find(owns) || graph.find(reads) || (stage === "output" ? graph[graph.length - 1] : undefined);
}

export const stagesView = {
  build(app) {
    // the views show all of it
    const output = document.getElementById("output");
    if (output) output.remove();
    const table = document.getElementById("stages");
    if (!table) return null;
    for (const row of table.querySelectorAll("tbody tr")) {
      const head = row.firstElementChild;
      const stage = head.textContent;
      const layer = layerOf(app.facts, stage);
      const node = nodeOfStage(app.facts.graph || [], stage);
      if (layer === undefined && !node) continue;
      const go = () => {
        app.set(layer === undefined ? { node: node.name, cell: null, cellPinned: false } : { layer, stage });
        const target = document.getElementById(layer === undefined ? "network" : "convolution");
        if (target) target.scrollIntoView({ behavior: "smooth" });
      };
      head.replaceChildren(element("button", { type: "button", class: "link", onclick: go }, stage));
    }
    return null;
  },
};
