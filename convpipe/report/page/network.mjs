// The graph of layers, their maps, and how one of their cells came about.
import { element, word } from "./dom.mjs";

export const networkView = {
  build(app) {
    if (!app.facts.graph) return null;
    return element("section", { id: "network" }, word("h2", "network"));
  },
};
