// The page of a network, or of an operation that is looked at as one.
import { convolutionView } from "./convolution.mjs";
import { networkView } from "./network.mjs";
import { start } from "./page.mjs";
import { stagesView } from "./stages.mjs";

start([networkView, convolutionView, stagesView]);
