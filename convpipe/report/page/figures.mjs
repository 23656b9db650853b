// Maps drawn: one canvas for each, enlarged by a whole factor, with its name, and marks on cells.
import { drawn, element, word } from "./dom.mjs";
import { colourOf, colourPixels, enlargement, hasNumbers, isLight, isShortNumber, markedAreas, planePixels } from "./maps.mjs";
import { short } from "./numbers.mjs";
import { exactAt } from "./story.mjs";

// A canvas of RGBA pixels.
export function paintedCanvas(pixels, planes, label) {
  const canvas = element("canvas", { width: planes.width, height: planes.height, role: "img", "aria-label": label });
  if (pixels.length) canvas.getContext("2d").putImageData(new ImageData(pixels, planes.width, planes.height), 0, 0);
  return canvas;
}

// A map with its name below; `marks` are its cells that are outlined.
export function mapFigure(canvas, planes, label, map, numbered = false) {
  const factor = enlargement(planes, numbered);
  if (factor < 1) canvas.classList.add("smaller");
  canvas.style.width = `${planes.width * factor}px`;
  canvas.style.height = `${planes.height * factor}px`;
  const marks = drawn("svg", {
    class: "marks", viewBox: `0 0 ${planes.width} ${planes.height}`, preserveAspectRatio: "none", "aria-hidden": "true",
  });
  return element("figure", { class: "map", "data-map": map },
    element("div", { class: "picture" }, canvas, marks), element("figcaption", {}, label));
}

export function markCells(figure, cells, kind) {
  const areas = markedAreas(cells).map((area) => drawn("rect", { ...area, class: kind }));
  figure.querySelector(".marks").replaceChildren(...areas);
}

// Which cell of a map lies under the pointer.
export function cellUnder(event, planes) {
  const picture = event.target.closest(".picture");
  if (!picture) return null;
  const box = picture.getBoundingClientRect();
  const place = (at, from, size, count) => Math.max(0, Math.min(count - 1, Math.floor(((at - from) / size) * count)));
  return {
    map: Number(picture.parentNode.dataset.map),
    y: place(event.clientY, box.top, box.height, planes.height),
    x: place(event.clientX, box.left, box.width, planes.width),
  };
}

// Pictures of some maps of an array, with the numbers in them where the maps are small and few and the numbers short.
export function mapFigures(array, planes, image, maps, scaleAt, name) {
  const numbered = hasNumbers(planes) && !array.thumb && array.values.every((value) => isShortNumber(short(value)));
  return maps.map((map) => {
    const label = name(map);
    const scale = scaleAt(map);
    const pixels = planePixels(array, planes, image, map, scale);
    const figure = mapFigure(paintedCanvas(pixels, planes, label), planes, label, map, numbered);
    if (numbered) addNumbers(figure, array, planes, image, map, scale);
    return figure;
  });
}

function addNumbers(figure, array, planes, image, map, scale) {
  const texts = [];
  for (let y = 0; y < planes.height; y++) {
    for (let x = 0; x < planes.width; x++) {
      const value = exactAt(array, planes.at(image, map, y, x));
      if (value === undefined) continue;
      const look = isLight(colourOf(Number(value), scale)) ? "dark" : "light";
      texts.push(drawn("text", { x: x + 0.5, y: y + 0.64, class: look }, short(value)));
    }
  }
  const { width, height } = planes;
  const layer = drawn("svg", { class: "numbers", viewBox: `0 0 ${width} ${height}`, "aria-hidden": "true" }, texts);
  figure.querySelector(".picture").append(layer);
}

export function colourFigure(array, planes, image, label) {
  return mapFigure(paintedCanvas(colourPixels(array, planes, image), planes, label), planes, label, 0);
}

// What the colours stand for: the least and the largest value of all maps, as stages.csv has them.
export function scaleLegend(scale, texts, key, hasRamp) {
  const bar = element("span", { class: scale.signed ? "ramp signed" : "ramp grey", "aria-hidden": "true" });
  const ends = scale.signed ? [`-${short(scale.most)}`, `+${short(scale.most)}`] : texts;
  return element("p", { class: "legend" },
    word("span", key), element("span", { class: "number range" }, `${texts[0]} … ${texts[1]}`),
    hasRamp ? element("span", { class: "number ends" }, `${ends[0]} `, bar, ` ${ends[1]}`) : null);
}

// A vector as bars with numbers, each a row that can be pointed at.
export function barRows(values, texts, scale) {
  const span = (scale.signed ? 2 : 1) * scale.most || 1;
  return values.map((value, at) => {
    const bar = element("span", { class: value < 0 ? "fill below" : "fill", "aria-hidden": "true" });
    const size = (100 * Math.min(Math.abs(value), scale.most)) / span;
    bar.style.width = `${Number.isFinite(size) ? size : 0}%`;
    if (scale.signed) bar.style.marginLeft = `${value < 0 ? 50 - size : 50}%`;
    const track = element("span", { class: "track" }, bar);
    return element("div", { class: "unit", "data-unit": at }, element("span", { class: "index" }, String(at)), track,
      element("span", { class: "number" }, texts[at]));
  });
}
