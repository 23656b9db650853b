// The page of a network, or of an operation that is looked at as one.
import { canvasGrid } from "./canvas.mjs";
import { tellFormulasBy } from "./cell.mjs";
import { convolutionView, drawLargeBy } from "./convolution.mjs";
import { networkView } from "./network.mjs";
import { textOf } from "./forms.mjs";
import { start } from "./page.mjs";
import { stagesView } from "./stages.mjs";

drawLargeBy(canvasGrid);
tellFormulasBy(textOf);
start([networkView, convolutionView, stagesView]);
