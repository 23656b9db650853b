// The convolution, cell by cell.
import { element, word } from "./dom.mjs";

export const convolutionView = {
  build(app) {
    if (!app.facts.convolutions || !app.facts.convolutions.length) return null;
    return element("section", { id: "convolution" }, word("h2", "convolution"));
  },
};
