// The page of a convolution whose grids are more than tables can show.
import { canvasGrid } from "./canvas.mjs";
import { convolutionView, drawLargeBy } from "./convolution.mjs";
import { start } from "./page.mjs";
import { stagesView } from "./stages.mjs";

drawLargeBy(canvasGrid);
start([convolutionView, stagesView]);
