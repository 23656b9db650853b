// The page of a single convolution.
import { convolutionView } from "./convolution.mjs";
import { start } from "./page.mjs";
import { stagesView } from "./stages.mjs";

start([convolutionView, stagesView]);
