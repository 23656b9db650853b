// A scatter plot of runs: two columns along its axes, a third in colours and shapes.
import { nameWithUnit } from "./columns.mjs";
import { drawn, element, word } from "./dom.mjs";
import { LEFT_OUT, putStamp, rampColour, rgbOf, SHAPES, stampOf, TONES } from "./raster.mjs";
import { axisOf, thinned, whenWide } from "./scales.mjs";

const HEIGHT = 320;
const TOP = 26;
const BOTTOM = 44;
const RIGHT = 14;
const INSET = 7;
const MOST_SVG_POINTS = 2000;
const RADIUS = 4.5;
const NEAR = 14;
const FAINT = 0.16;
const LETTER = 7.2;

// A number from -0.5 to 0.5 that is a row's own, so that runs in one place of words do not lie on each other.
export function jitter(row, salt) {
  let bits = Math.imul(row + 1, 2654435761) ^ Math.imul(salt, 40503);
  bits = Math.imul(bits ^ (bits >>> 15), 2246822519);
  return ((bits ^ (bits >>> 13)) >>> 8) / 2 ** 24 - 0.5;
}

// Where rows stand: {x, y} in pixels of an area {left, top, width, height}.
export function pointsOf(area, across, up) {
  const { rows } = across.column;
  const place = (axis, row, salt) => {
    const at = axis.column.place(row);
    return axis.places[at] + (axis.inSlot[at] ? axis.slot * 0.55 * jitter(row, salt) : 0);
  };
  const x = Float32Array.from({ length: rows }, (_, row) => area.left + place(across, row, 1) * area.width);
  const y = Float32Array.from({ length: rows }, (_, row) => area.top + area.height * (1 - place(up, row, 7)));
  return { x, y };
}

// The row whose point is nearest to a place, of those that are not farther than `most`; -1 where there is none.
export function nearestPoint({ x, y }, rows, left, top, most) {
  let [best, found] = [most * most, -1];
  for (const row of rows) {
    const distance = (x[row] - left) ** 2 + (y[row] - top) ** 2;
    if (distance < best) [best, found] = [distance, row];
  }
  return found;
}

// How a row looks: {colour: [r, g, b], shape}. The place of a gap has a look even where there is none.
export function lookOf(axis, place) {
  if (!axis) return { colour: rgbOf(TONES[0]), shape: SHAPES[0] };
  if (!axis.kinds) return { colour: rampColour(axis.places[place]), shape: SHAPES[0] };
  // a gap's place is none of them where no run has a gap
  const slot = Math.max(0, axis.kinds.indexOf(axis.places[place]));
  return { colour: rgbOf(TONES[slot % TONES.length]), shape: SHAPES[((slot % TONES.length) + Math.floor(slot / TONES.length)) % SHAPES.length] };
}

// How the rows of each text look; of a gap only where there is one, as a place that no row has is of no kind.
export function looksOf(axis) {
  if (!axis) return [lookOf(null)];
  const used = axis.column.gaps ? axis.places : axis.places.slice(0, axis.column.count);
  return Array.from(used, (_, place) => lookOf(axis, place));
}

const OUTLINES = {
  circle: "M-4,0a4,4 0 1 0 8,0a4,4 0 1 0 -8,0", square: "M-3.4,-3.4h6.8v6.8h-6.8z", triangle: "M0,-4.4L4.2,3.4H-4.2z",
  diamond: "M0,-4.6L4.6,0L0,4.6L-4.6,0z", cross: "M-4,-2.4L-2.4,-4L0,-1.6L2.4,-4L4,-2.4L1.6,0L4,2.4L2.4,4L0,1.6L-2.4,4L-4,2.4L-1.6,0z",
  bar: "M-1.6,-4.6h3.2v9.2h-3.2z",
};

export function outline(look, attributes) {
  return drawn("path", { d: OUTLINES[look.shape], fill: `rgb(${look.colour})`, ...attributes });
}

// Which columns the plot begins with: a result over a setting, another setting in colours.
export function firstAxes(axes, measured) {
  const names = axes.map((axis) => axis.column.name);
  const settings = axes.filter((axis) => !measured.includes(axis.column.name) && axis.column.name !== "seed");
  const up = ["accuracy", "seconds"].find((name) => names.includes(name)) || names[names.length - 1];
  const numbers = settings.filter((axis) => !axis.isWords && axis.column.name !== up);
  const across = [...numbers, ...settings].map((axis) => axis.column.name).find((name) => name !== up) || names[0];
  const colour = settings.map((axis) => axis.column.name).find((name) => name !== up && name !== across) || "";
  return { across, up, colour };
}

// The plot: {node, redraw(), mark()}.
export function scatterPlot(app, model, on) {
  const names = [...model.columns.keys()].filter((name) => name !== "run" && axisOf(model.columns.get(name)));
  if (!names.length) return null;
  const chosen = firstAxes(names.map((name) => axisOf(model.columns.get(name))), app.facts.measured);
  const canvas = element("canvas", { "aria-hidden": "true" });
  const svg = drawn("svg", { role: "img", height: HEIGHT });
  const stage = element("div", { class: "stage" }, canvas, svg);
  const [cloud, marks] = [drawn("g"), drawn("g")];
  const legend = element("div", { class: "legend" });
  let points = null;
  let faint = null;
  let room = 560;
  let drawnFor = "";

  const choice = (key, name, more) =>
    element("label", {}, word("span", key), " ", element("select", {
      onchange: (event) => {
        chosen[name] = event.target.value;
        redraw();
      },
    }, more, names.map((each) => element("option", { value: each, selected: chosen[name] === each }, each))));
  const none = word("option", "plot.nothing", { value: "" });
  const controls = element("div", { class: "row" }, choice("plot.x", "across"), choice("plot.y", "up"), choice("plot.colour", "colour", none));

  function axis(name) {
    return name ? axisOf(model.columns.get(name)) : null;
  }

  function areaOf(up) {
    const texts = up.ticks(6).map((tick) => tick.text.length);
    const left = Math.min(130, 16 + LETTER * Math.max(...texts));
    const width = Math.max(260, room);
    const inside = { left: left + INSET, top: TOP + INSET, width: width - left - RIGHT - 2 * INSET, height: HEIGHT - TOP - BOTTOM - 2 * INSET };
    return { ...inside, whole: width };
  }

  function redraw() {
    const [across, up] = [axis(chosen.across), axis(chosen.up)];
    const area = areaOf(up);
    const few = app.facts.rows <= MOST_SVG_POINTS;
    const key = [chosen.across, chosen.up, chosen.colour, area.whole, app.state.language, ...[across, up, axis(chosen.colour)].map((each) => each && each.isLog)].join("\n");
    if (key !== drawnFor) {
      points = pointsOf(area, across, up);
      faint = null;
      drawnFor = key;
      svg.setAttribute("width", area.whole);
      svg.setAttribute("aria-label", app.say("plot.scatter", { x: chosen.across, y: chosen.up }));
      svg.replaceChildren(...frame(area, across, up), cloud, marks);
      drawLegend();
    }
    if (few) drawPoints();
    paint(area, few);
    mark();
  }

  function looks() {
    const colour = axis(chosen.colour);
    const known = looksOf(colour);
    return (row) => known[colour ? colour.column.place(row) : 0];
  }

  function drawPoints() {
    const look = looks();
    const left = new Set(model.rows);
    const place = (row) => `translate(${points.x[row].toFixed(1)},${points.y[row].toFixed(1)})`;
    const draw = (row, faint) => outline(faint ? { ...look(row), colour: rgbOf(LEFT_OUT) } : look(row), { transform: place(row), opacity: faint ? FAINT : 0.8 });
    const others = [...model.all].filter((row) => !left.has(row));
    cloud.replaceChildren(...others.map((row) => draw(row, true)), ...Array.from(model.rows, (row) => draw(row, false)));
  }

  function paint(area, few) {
    const ratio = Math.min(2, window.devicePixelRatio || 1);
    [canvas.width, canvas.height] = few ? [0, 0] : [Math.round(area.whole * ratio), HEIGHT * ratio];
    if (few) return;
    canvas.style.width = `${area.whole}px`;
    const context = canvas.getContext("2d");
    const stamps = Object.fromEntries(SHAPES.map((shape) => [shape, stampOf(shape, RADIUS * 0.6 * ratio)]));
    const look = looks();
    const put = (picture, row, strength, grey) => {
      const { colour, shape } = look(row);
      putStamp(picture, stamps[shape], points.x[row] * ratio, points.y[row] * ratio, grey || colour, strength);
    };
    const picture = context.createImageData(canvas.width, canvas.height);
    if (model.rows.length < app.facts.rows) {
      if (!faint) {
        faint = context.createImageData(canvas.width, canvas.height);
        for (const row of model.all) put(faint, row, FAINT / 3, rgbOf(LEFT_OUT));
      }
      picture.data.set(faint.data);
    }
    const strength = Math.max(0.3, Math.min(0.8, 3000 / model.rows.length));
    for (const row of model.rows) put(picture, row, strength);
    context.putImageData(picture, 0, 0);
  }

  function drawLegend() {
    const colour = axis(chosen.colour);
    const items = !colour ? [] : colour.kinds ? kindItems(colour) : rampItems(colour);
    legend.replaceChildren(...items);
  }

  function mark() {
    const rows = [model.kept, model.hovered].filter((row) => row >= 0);
    marks.replaceChildren(...rows.map((row) => {
      const kind = row === model.hovered ? "ring" : "ring kept";
      return drawn("circle", { cx: points.x[row], cy: points.y[row], r: 7, class: kind, "data-row": row });
    }));
  }

  function rowAt(event) {
    const box = svg.getBoundingClientRect();
    return nearestPoint(points, model.rows, event.clientX - box.left, event.clientY - box.top, NEAR);
  }

  stage.addEventListener("pointermove", (event) => on.hover(rowAt(event)));
  stage.addEventListener("pointerleave", () => on.hover(-1));
  stage.addEventListener("click", (event) => {
    const row = rowAt(event);
    if (row >= 0) on.keep(row);
  });
  const wide = element("div", { class: "wide" }, stage);
  whenWide(wide, (width) => {
    room = width;
    redraw();
  });
  const node = element("section", { class: "plot", id: "scatter" }, word("h2", "plot.points"), controls, wide, legend);
  return { node, redraw, mark };
}

function kindItems(axis) {
  const ticks = axis.ticks(axis.kinds.length);
  return axis.kinds.map((kind) => {
    const look = lookOf(axis, axis.places.indexOf(kind));
    const icon = drawn("svg", { width: 12, height: 12, viewBox: "-6 -6 12 12", "aria-hidden": "true" }, outline(look));
    return element("span", { class: "key" }, icon, ` ${ticks.find((tick) => tick.at === kind).text}`);
  });
}

function rampItems(axis) {
  const steps = Array.from({ length: 24 }, (_, at) => drawn("rect", { x: at * 5, width: 5, height: 10, fill: `rgb(${rampColour(at / 23)})` }));
  const ticks = axis.ticks(4);
  const icon = drawn("svg", { width: 120, height: 10, "aria-hidden": "true" }, steps);
  return [element("span", { class: "key" }, `${ticks[0].text} `, icon, ` ${ticks[ticks.length - 1].text}`)];
}

// Axes, their ticks and names.
function frame(area, across, up) {
  const [left, right] = [area.left - INSET, area.left + area.width + INSET];
  const [top, low] = [area.top - INSET, area.top + area.height + INSET];
  const wide = Math.max(...across.ticks(8).map((tick) => tick.text.length)) * LETTER + 10;
  const below = thinned(across.ticks(8), wide / area.width).map(({ at, text }) => ({ x: area.left + at * area.width, text }));
  const beside = thinned(up.ticks(6), 15 / area.height).map(({ at, text }) => ({ y: area.top + (1 - at) * area.height, text }));
  return [
    drawn("path", { class: "axis", d: `M${left},${top}V${low}H${right}` }),
    ...below.map(({ x, text }) => drawn("text", { x, y: low + 16, "text-anchor": "middle" }, text)),
    ...beside.map(({ y, text }) => drawn("text", { x: left - 6, y: y + 4, "text-anchor": "end" }, text)),
    ...below.map(({ x }) => drawn("path", { class: "tick", d: `M${x},${top}V${low + 4}` })),
    ...beside.map(({ y }) => drawn("path", { class: "tick", d: `M${left - 4},${y}H${right}` })),
    drawn("text", { class: "name", x: right, y: low + 36, "text-anchor": "end" }, nameOf(across)),
    drawn("text", { class: "name", x: 0, y: 12 }, nameOf(up)),
  ];
}

// A column's name, its unit, and that its axis is no even one.
export function nameOf(axis) {
  return nameWithUnit(axis.column.name, axis.isLog && "log");
}
