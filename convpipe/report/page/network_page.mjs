// The page of a network, or of an operation that is looked at as one.
import { canvasGrid } from "./canvas.mjs";
import { added } from "./cell.mjs";
import { convolutionView, drawLargeBy } from "./convolution.mjs";
import { networkView } from "./network.mjs";
import { linesOfStages } from "./later.mjs";
import { start } from "./page.mjs";
import { quantisedCell, timesLess, zerosNote } from "./quantised.mjs";
import { stagesView } from "./stages.mjs";

drawLargeBy(canvasGrid);
Object.assign(added, { times: timesLess, hold: quantisedCell, later: linesOfStages, note: zerosNote });
start([networkView, convolutionView, stagesView]);
