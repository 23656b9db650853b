// The page of an operation that is no convolution, looked at as the graph of its stages.
import { networkView } from "./network.mjs";
import { start } from "./page.mjs";
import { stagesView } from "./stages.mjs";

start([networkView, stagesView]);
