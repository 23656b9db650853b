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

export const stagesView = {
  build(app) {
    const table = document.getElementById("stages");
    if (!table) return null;
    for (const row of table.querySelectorAll("tbody tr")) {
      const head = row.firstElementChild;
      const stage = head.textContent;
      const layer = layerOf(app.facts, stage);
      const node = (app.facts.graph || []).find((each) => each.array === stage || each.name === stage);
      if (layer === undefined && !node) continue;
      const go = () => {
        app.set(layer === undefined ? { node: node.name } : { layer, stage });
        const target = document.getElementById(layer === undefined ? "network" : "convolution");
        if (target) target.scrollIntoView({ behavior: "smooth" });
      };
      head.replaceChildren(element("button", { type: "button", class: "link", onclick: go }, stage));
    }
    return null;
  },
};
