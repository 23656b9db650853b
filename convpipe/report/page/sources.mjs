// What a cell has read, beside it: the maps that its cells lie in, with those cells marked.
import { element, word } from "./dom.mjs";
import { barRows, mapFigures, markCells } from "./figures.mjs";
import { exactAt } from "./story.mjs";
import { mapName, shownPlanes } from "./layer.mjs";
import { numberAt, scaleOf } from "./maps.mjs";
import { short } from "./numbers.mjs";

const MOST_SOURCES = 12;

// Cells by the map that they lie in: [{image, map, cells: [{y, x}]}].
export function cellsByMap(planes, cells) {
  const found = new Map();
  for (const indices of cells) {
    const { image, map, y, x } = planes.spot(indices);
    const key = `${image} ${map}`;
    if (!found.has(key)) found.set(key, { image, map, cells: [] });
    found.get(key).cells.push({ y, x });
  }
  return [...found.values()];
}

function sourceBars(array, planes, group) {
  const indices = Array.from({ length: planes.height }, (_, at) => planes.at(group.image, 0, at, 0));
  const rows = barRows(indices.map((at) => numberAt(array, at)), indices.map((at) => short(exactAt(array, at))), scaleOf(array));
  for (const { y } of group.cells) rows[y].classList.add("read");
  return element("div", { class: "maps bars" }, rows);
}

function sourceFigure(app, parts, source, group) {
  const { node, array, planes } = source, key = `${node.array} ${group.image} ${group.map}`;
  const name = (map) => `${planes.images > 1 && planes.image ? `${planes.image}=${group.image} ` : ""}${mapName(app.facts, node, planes)(map)}`;
  if (!parts.drawnSources.has(key)) {
    parts.drawnSources.set(key, mapFigures(array, planes, group.image, [group.map], () => scaleOf(array), name)[0]);
  }
  const figure = parts.drawnSources.get(key);
  markCells(figure, group.cells, "read");
  return figure;
}

function sourceOf(app, parts, read) {
  const node = app.facts.graph.find((each) => each.array === read.array);
  const array = parts.arrays.get(read.array);
  if (!node || !array || array.thumb) return null;
  return { node, array, planes: shownPlanes(node, array) };
}

// A part for each array that is a node's.
export function sourcesPart(app, parts, reads) {
  return reads.map((read) => {
    const source = sourceOf(app, parts, read);
    if (!source || !read.cells.length) return null;
    const groups = cellsByMap(source.planes, read.cells);
    const bars = source.planes.kind === "bars";
    const shown = groups.slice(0, MOST_SOURCES).map((group) =>
      (bars ? sourceBars(source.array, source.planes, group) : sourceFigure(app, parts, source, group)));
    const rest = groups.length - MOST_SOURCES;
    const head = element("h4", {}, `${app.say("readFrom")} ${source.node.name}`);
    return element("div", { class: "source" }, head, element("div", { class: "maps wide" }, shown),
      rest > 0 ? element("p", { class: "hint" }, app.say("moreRead", { count: rest })) : null);
  }).filter(Boolean);
}
