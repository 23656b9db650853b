// The page of a convolution that takes what the lecture's does not: large grids, or stages after its sums.
import { canvasGrid } from "./canvas.mjs";
import { tellFormulasBy } from "./cell.mjs";
import { convolutionView, drawLargeBy } from "./convolution.mjs";
import { textOf } from "./forms.mjs";
import { start } from "./page.mjs";
import { stagesView } from "./stages.mjs";

drawLargeBy(canvasGrid);
tellFormulasBy(textOf);
start([convolutionView, stagesView]);
