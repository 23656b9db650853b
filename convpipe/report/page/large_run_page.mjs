// The page of a convolution that takes what the lecture's does not: large grids, zero points, or stages after its sums.
import { canvasGrid } from "./canvas.mjs";
import { added } from "./cell.mjs";
import { convolutionView, drawLargeBy } from "./convolution.mjs";
import { linesOfStages } from "./later.mjs";
import { start } from "./page.mjs";
import { quantisedCell, timesLess, zerosNote } from "./quantised.mjs";
import { stagesView } from "./stages.mjs";

drawLargeBy(canvasGrid);
Object.assign(added, { times: timesLess, hold: quantisedCell, later: linesOfStages, note: zerosNote });
start([convolutionView, stagesView]);
