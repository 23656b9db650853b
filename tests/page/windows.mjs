// Reads convolutions from stdin, as the page's facts have them, and says for each which padded pixel stands in each place
// of its column matrix, and how often each pixel is copied.
import { readFileSync } from "node:fs";
import { columnPlace, copiesOf, countOf, flatOf, isPadding, pixelOf, placesWithin, rangeOf, wholeSpans } from "../../convpipe/report/page/geometry.mjs";
import { rowsOf } from "../../convpipe/report/page/sheets.mjs";

function told(conv) {
  const columns = conv.channels * countOf(conv.kernel);
  const shape = [conv.batch, conv.channels, ...conv.padded];
  const places = rowsOf(conv).places;
  const rows = places.map(({ n, at }) => rangeOf(0, columns).map((k) => {
    const { c, at: tap } = columnPlace(conv, k);
    return flatOf([n, c, ...pixelOf(conv, at, tap)], shape);
  }));
  const pixels = placesWithin(wholeSpans(conv.padded));
  return { rows, numbers: places.map(({ row }) => row), copies: pixels.map((at) => copiesOf(conv, at).length), padding: pixels.map((at) => isPadding(conv, at)) };
}

console.log(JSON.stringify(JSON.parse(readFileSync(0, "utf8")).map(told)));
