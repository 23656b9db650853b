// The page of a collection.
import { collectionView } from "./collection.mjs";
import { start } from "./page.mjs";

start([collectionView]);
