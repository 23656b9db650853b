// All runs of a collection.
import { element, word } from "./dom.mjs";

export const collectionView = {
  build() {
    return element("section", { id: "collection" }, word("h2", "runs"));
  },
};
