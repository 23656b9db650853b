// The page of a network, or of an operation that is looked at as one.
import { canvasGrid } from "./canvas.mjs";
import { holdCellsBy, tellLaterBy } from "./cell.mjs";
import { convolutionView, drawLargeBy } from "./convolution.mjs";
import { networkView } from "./network.mjs";
import { linesOfStages } from "./later.mjs";
import { start } from "./page.mjs";
import { quantisedCell } from "./quantised.mjs";
import { stagesView } from "./stages.mjs";

drawLargeBy(canvasGrid);
holdCellsBy(quantisedCell);
tellLaterBy(linesOfStages);
start([networkView, convolutionView, stagesView]);
