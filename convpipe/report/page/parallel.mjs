// Parallel coordinates: an axis for each column that varies, a line for each run; a part of an axis filters.
import { nameWithUnit } from "./columns.mjs";
import { drawn, element, word } from "./dom.mjs";
import { addBundles, bundles, densityPicture, LEFT_OUT, rgbOf, TONES } from "./raster.mjs";
import { axisOf, thinned, whenWide, wordsBetween } from "./scales.mjs";

const SPAN = 260;
const ABOVE = 52;
const BELOW = 14;
const MOST_AXES = 12;
const MOST_LINES = 2000;
const LEAST_GAP = 104;
const SIDE = 28;
const AFTER = 110;
const REACH = 16;
const CLOSE = 7;
const KEY_STEP = 0.02;
const TRIANGLE = { low: "M0,0L-7,9H7Z", high: "M0,0L-7,-9H7Z" };

const HEIGHTS = new WeakMap();

// The heights of all rows on an axis, in pixels.
export function heightsOn(axis) {
  if (!HEIGHTS.has(axis)) {
    const { rows, place } = axis.column;
    const heights = Float32Array.from(axis.places, (at) => ABOVE + SPAN * (1 - at));
    const all = new Float32Array(rows);
    for (let row = 0; row < rows; row++) all[row] = heights[place(row)];
    HEIGHTS.set(axis, all);
  }
  return HEIGHTS.get(axis);
}

// The row whose line passes nearest to a spot between two axes, not farther than `most` pixels; -1 where none does.
export function nearestLine(first, second, share, rows, y, most) {
  let [best, found] = [most, -1];
  for (const row of rows) {
    const distance = Math.abs(first[row] + (second[row] - first[row]) * share - y);
    if (distance < best) [best, found] = [distance, row];
  }
  return found;
}

// The next place of an axis that has values, above or below another.
export function nextPlace(places, from, up) {
  const sorted = [...new Set([0, 1, ...places])].sort((a, b) => a - b);
  if (sorted.length > 1 / KEY_STEP) return Math.max(0, Math.min(from + (up ? KEY_STEP : -KEY_STEP), 1));
  const beyond = up ? sorted.find((each) => each > from + 1e-9) : sorted.findLast((each) => each < from - 1e-9);
  return beyond === undefined ? from : beyond;
}

// A range with one of its ends moved; null where it is the whole axis.
export function movedRange(range, end, place) {
  const [low, high] = range || [0, 1];
  const next = end === "low" ? [Math.min(place, high), high] : [low, Math.max(place, low)];
  return next[0] <= 0 && next[1] >= 1 ? null : next;
}

// The columns that get an axis: all, or as many as there is room for, results rather than the last settings.
export function axesAmong(names, most) {
  const results = names.filter((name) => name === "seconds" || name === "accuracy");
  const others = names.filter((name) => !results.includes(name)).slice(0, most - results.length);
  return names.filter((name) => results.includes(name) || others.includes(name));
}

// The plot: {node, redraw(), mark()}. `on.brush(name, range or null)` filters.
export function parallelPlot(app, model, on) {
  const canvas = element("canvas", { "aria-hidden": "true" });
  const svg = drawn("svg", { height: ABOVE + SPAN + BELOW, role: "group", "data-label": "plot.parallel" });
  const stage = element("div", { class: "stage" }, canvas, svg);
  const wide = element("div", { class: "wide" }, stage);
  const few = element("span");
  const hint = element("p", { class: "faint" }, word("span", "plot.brush"), " ", few);
  const more = word("p", "plot.sideways", { class: "faint", hidden: true });
  const node = element("section", { class: "plot", id: "parallel" }, word("h2", "plot.lines"), hint, more, wide);
  let axes = [];
  let heights = [];
  let drag = null;
  let room = 800;
  let drawnFor = "";
  let tab = { axis: 0, end: "high" };

  const gap = () => Math.max(LEAST_GAP, Math.floor((room - SIDE - AFTER) / Math.max(axes.length - 1, 1)));
  const across = (at) => SIDE + at * gap();
  const placeAt = (y) => Math.max(0, Math.min(1 - (y - ABOVE) / SPAN, 1));

  function redraw() {
    const drawable = model.shown.filter((name) => name !== "run" && axisOf(model.columns.get(name)));
    axes = axesAmong(drawable, MOST_AXES).map((name) => axisOf(model.columns.get(name)));
    few.textContent = axes.length < drawable.length ? app.say("plot.few", { shown: axes.length, all: drawable.length }) : "";
    node.hidden = axes.length < 2;
    if (node.hidden) return;
    heights = axes.map(heightsOn);
    const width = across(axes.length - 1) + AFTER;
    drawAxes(width);
    paint(width);
    more.hidden = width <= room;
    mark();
  }

  // The axes anew, where anything about them has changed.
  function drawAxes(width) {
    const key = JSON.stringify([axes.map((axis) => [axis.column.name, axis.isLog]), width, [...model.brushes], app.state.language]);
    if (key === drawnFor) return;
    drawnFor = key;
    const hadFocus = svg.contains(document.activeElement);
    svg.setAttribute("width", width);
    svg.replaceChildren(drawn("g", { class: "lines" }), ...axes.map(drawAxis));
    settle(hadFocus);
  }

  function paint(width) {
    const many = model.rows.length > MOST_LINES;
    const ratio = many ? 1 : Math.min(2, window.devicePixelRatio || 1);
    canvas.width = width * ratio;
    canvas.height = (ABOVE + SPAN + BELOW) * ratio;
    canvas.style.width = `${width}px`;
    const context = canvas.getContext("2d");
    if (many) return paintDensity(context, width);
    context.scale(ratio, ratio);
    if (app.facts.rows <= MOST_LINES) {
      const left = new Set(model.rows);
      paintLines(context, [...model.all].filter((row) => !left.has(row)), 0.07, LEFT_OUT);
    }
    return paintLines(context, model.rows, Math.max(0.15, Math.min(0.9, 30 / model.rows.length)));
  }

  function paintLines(context, rows, strength, tone = TONES[0]) {
    context.strokeStyle = tone;
    context.globalAlpha = strength;
    for (const row of rows) {
      context.beginPath();
      heights.forEach((height, at) => context.lineTo(across(at), height[row]));
      context.stroke();
    }
  }

  function paintDensity(context, width) {
    const size = ABOVE + SPAN + 1;
    const density = new Float32Array(width * (size + BELOW));
    for (let at = 0; at + 1 < axes.length; at++) {
      const [first, second] = [heights[at], heights[at + 1]].map((height) => (row) => Math.round(height[row]));
      addBundles(density, width, across(at), gap(), bundles(first, second, model.rows, size), size);
    }
    const picture = context.createImageData(width, size + BELOW);
    densityPicture(density, rgbOf(TONES[0]), picture.data);
    context.putImageData(picture, 0, 0);
  }

  function drawAxis(axis, at) {
    const { name } = axis.column;
    const range = model.brushes.get(name);
    const cut = name.lastIndexOf(".") + 1;
    const ticks = thinned(axis.ticks(6), 15 / SPAN);
    const [low, high] = range || [0, 1];
    const y = (place) => ABOVE + SPAN * (1 - place);
    return drawn("g", { transform: `translate(${across(at)},0)` },
      drawn("title", {}, name),
      drawn("text", { class: "faint", y: 14, "text-anchor": at ? "middle" : "start", x: at ? 0 : -SIDE + 2 }, name.slice(0, cut)),
      drawn("text", { class: "name", y: 30, "text-anchor": at ? "middle" : "start", x: at ? 0 : -SIDE + 2 }, nameWithUnit(name.slice(cut), axis.isLog && "log")),
      drawn("path", { class: "axis", d: `M0,${ABOVE}V${ABOVE + SPAN}` }),
      range ? drawn("rect", { class: "brush", x: -9, width: 18, y: y(high), height: Math.max(3, y(low) - y(high)) }) : null,
      ticks.map((tick) => drawn("text", { class: "beside", x: 8, y: y(tick.at) + 4 }, tick.text)),
      drawn("rect", { class: "handle-area", x: -REACH, width: 2 * REACH, y: ABOVE - 6, height: SPAN + 12, "data-axis": at }),
      ["low", "high"].map((end) => drawHandle(axis, at, end, end === "low" ? low : high, y)));
  }

  function drawHandle(axis, at, end, place, y) {
    const range = model.brushes.get(axis.column.name);
    const ticks = axis.ticks(6);
    const text = range ? wordsBetween(axis, ...range) : ticks[end === "low" ? 0 : ticks.length - 1].text;
    return drawn("path", {
      class: "handle", d: TRIANGLE[end], transform: `translate(0,${y(place)})`, role: "slider", tabindex: -1,
      "data-axis": at, "data-end": end, "aria-label": app.say(`plot.${end}`, { name: axis.column.name }), "aria-orientation": "vertical",
      "aria-valuemin": 0, "aria-valuemax": 100, "aria-valuenow": Math.round(100 * place), "aria-valuetext": text,
    });
  }

  // The one handle that Tab leads to.
  function settle(focused) {
    tab.axis = Math.max(0, Math.min(tab.axis, axes.length - 1));
    for (const handle of svg.querySelectorAll(".handle")) {
      const here = Number(handle.dataset.axis) === tab.axis && handle.dataset.end === tab.end;
      handle.setAttribute("tabindex", here ? 0 : -1);
      if (here && focused) handle.focus({ preventScroll: true });
    }
  }

  function mark() {
    if (node.hidden) return;
    const rows = [model.kept, model.hovered].filter((row) => row >= 0);
    svg.firstElementChild.replaceChildren(...rows.map((row) => {
      const points = heights.map((height, at) => `${across(at)},${height[row]}`).join(" ");
      return drawn("polyline", { points, class: row === model.hovered ? "lit" : "lit kept", "data-row": row });
    }));
  }

  function spot(event) {
    const box = svg.getBoundingClientRect();
    const [x, y] = [event.clientX - box.left, event.clientY - box.top];
    const nearest = Math.max(0, Math.min(Math.round((x - SIDE) / gap()), axes.length - 1));
    return { x, y, axis: Math.abs(x - across(nearest)) <= REACH && y > ABOVE - 10 ? nearest : -1 };
  }

  function rowAt({ x, y }) {
    const at = Math.floor((x - SIDE) / gap());
    if (at < 0 || at + 1 >= axes.length) return -1;
    return nearestLine(heights[at], heights[at + 1], (x - across(at)) / gap(), model.rows, y, CLOSE);
  }

  function brush(axis, range) {
    on.brush(axes[axis].column.name, range);
  }

  stage.addEventListener("pointerdown", (event) => {
    const place = spot(event);
    if (place.axis < 0 || event.button) return;
    const [low, high] = model.brushes.get(axes[place.axis].column.name) || [0, 1];
    const end = event.target.dataset ? event.target.dataset.end : undefined;
    const from = end === "low" ? high : end === "high" ? low : placeAt(place.y);
    drag = { axis: place.axis, from, y: place.y, end, moved: false };
    stage.setPointerCapture(event.pointerId);
    event.preventDefault();
  });
  stage.addEventListener("pointermove", (event) => {
    const place = spot(event);
    if (!drag) return on.hover(place.axis < 0 ? rowAt(place) : -1);
    if (Math.abs(place.y - drag.y) < 3 && !drag.moved) return undefined;
    drag.moved = true;
    const to = placeAt(place.y);
    const range = [Math.min(drag.from, to), Math.max(drag.from, to)];
    return brush(drag.axis, range[0] <= 0 && range[1] >= 1 ? null : range);
  });
  stage.addEventListener("pointerup", (event) => {
    const ended = drag;
    drag = null;
    if (ended && !ended.moved && !ended.end) brush(ended.axis, null);
    const row = ended ? -1 : rowAt(spot(event));
    if (row >= 0) on.keep(row);
  });
  stage.addEventListener("pointerleave", () => on.hover(-1));
  svg.addEventListener("focusin", (event) => {
    const { axis, end } = event.target.dataset;
    if (!end) return;
    tab = { axis: Number(axis), end };
    settle(false);
  });
  svg.addEventListener("keydown", (event) => {
    const { end } = event.target.dataset;
    if (!end) return;
    const { axis } = tab;
    const { name } = axes[axis].column;
    const range = model.brushes.get(name);
    const place = (range || [0, 1])[end === "low" ? 0 : 1];
    if (event.key === "ArrowUp" || event.key === "ArrowDown") {
      brush(axis, movedRange(range, end, nextPlace(axes[axis].places, place, event.key === "ArrowUp")));
    } else if (event.key === "ArrowLeft" || event.key === "ArrowRight") {
      const order = axis * 2 + (end === "high" ? 1 : 0) + (event.key === "ArrowRight" ? 1 : -1);
      const next = Math.max(0, Math.min(order, axes.length * 2 - 1));
      tab = { axis: Math.floor(next / 2), end: next % 2 ? "high" : "low" };
      settle(true);
    } else if (event.key === "Delete" || event.key === "Backspace") brush(axis, null);
    else return;
    event.preventDefault();
  });
  whenWide(wide, (width) => {
    room = width;
    redraw();
  });
  return { node, redraw, mark };
}
