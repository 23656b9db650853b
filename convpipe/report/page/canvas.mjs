// A grid of more numbers than a table can hold: only what is seen of it is drawn. The interface is that of grid.mjs.
// `drawn` is {node, canvas, sheet, layout, marks, current}: `current` is the cell that the keys move from.
import { element } from "./dom.mjs";
import { rangeOf } from "./geometry.mjs";
import { HEAD_HEIGHT, ROW_HEIGHT, keyed } from "./grid.mjs";

const FONT = '12px ui-monospace, "DejaVu Sans Mono", Menlo, Consolas, monospace';
const GAP = 11;
const COLOURS = ["panel", "ink", "faint", "line", "pixel", "weight", "cell", "link", "hatch"];
const FILLS = { window: "pixel", weight: "weight", result: "cell", feeds: "cell" };
const DASHES = { window: [], weight: [2, 2], result: [], feeds: [4, 3] };

function characterWidth() {
  const pen = document.createElement("canvas").getContext("2d");
  pen.font = FONT;
  return pen.measureText("0").width;
}

// Where everything stands: the widths of row heads and of a cell, the height of the column heads, as grid.css has them.
function layoutOf(sheet) {
  const character = characterWidth();
  const widths = sheet.heads.map((_, index) => sheet.widths[index] * character + GAP);
  const left = widths.reduce((sum, width) => sum + width, 0);
  const cell = (sheet.characters + (sheet.bracketed ? 2 : 0)) * character + GAP;
  const levels = sheet.tall || sheet.columnHeads.length;
  const top = HEAD_HEIGHT * levels;
  return { character, widths, left, cell, levels, top, width: left + cell * sheet.columns, height: top + ROW_HEIGHT * sheet.rows };
}

// The rows and columns of which something is seen, and where they stand now.
function viewport({ node, sheet, layout }) {
  const span = (scrolled, room, size, count) => rangeOf(Math.floor(scrolled / size), Math.min(count, Math.ceil((scrolled + room) / size)));
  return {
    rows: span(node.scrollTop, node.clientHeight - layout.top, ROW_HEIGHT, sheet.rows),
    columns: span(node.scrollLeft, node.clientWidth - layout.left, layout.cell, sheet.columns),
    x: (column) => layout.left + column * layout.cell - node.scrollLeft,
    y: (row) => layout.top + row * ROW_HEIGHT - node.scrollTop,
  };
}

function tonesOf(node) {
  const style = getComputedStyle(node);
  return Object.fromEntries(COLOURS.map((name) => [name, style.getPropertyValue(`--${name}`).trim()]));
}

function drawMarks({ marks, layout: { cell } }, pen, tone, { x, y }) {
  for (const [row, column, rows, columns, look] of marks) {
    const [kind, chosen] = look.split(" ");
    pen.fillStyle = tone[FILLS[kind]];
    pen.fillRect(x(column), y(row), columns * cell, rows * ROW_HEIGHT);
    pen.strokeStyle = tone.ink;
    pen.lineWidth = chosen ? 2.5 : 1;
    pen.setLineDash(DASHES[kind]);
    pen.strokeRect(x(column) + 1, y(row) + 1, columns * cell - 2, rows * ROW_HEIGHT - 2);
  }
  pen.setLineDash([]);
  pen.lineWidth = 1;
}

function drawHatch(pen, left, top, width, tone) {
  pen.save();
  pen.beginPath();
  pen.rect(left, top, width, ROW_HEIGHT);
  pen.clip();
  pen.strokeStyle = tone.hatch;
  pen.beginPath();
  for (let start = left - ROW_HEIGHT; start < left + width; start += 6) {
    pen.moveTo(start, top + ROW_HEIGHT);
    pen.lineTo(start + ROW_HEIGHT, top);
  }
  pen.stroke();
  pen.restore();
}

function drawCells({ sheet, layout }, pen, tone, { rows, columns, x, y }) {
  pen.textAlign = "right";
  for (const row of rows) {
    for (const column of columns) {
      const padding = sheet.padding(row, column);
      if (padding) drawHatch(pen, x(column), y(row), layout.cell, tone);
      pen.fillStyle = tone.ink;
      const room = GAP / 2 + (sheet.bracketed && !padding ? layout.character : 0);
      pen.fillText(sheet.text(row, column), x(column) + layout.cell - room, y(row) + ROW_HEIGHT / 2);
    }
  }
}

function drawRules({ sheet, layout, canvas }, pen, tone, { rows, columns, x, y }) {
  for (const row of rows) {
    const thick = sheet.ruleBelow(row);
    pen.fillStyle = thick ? tone.ink : tone.line;
    pen.fillRect(0, y(row) + ROW_HEIGHT - 1, canvas.clientWidth, thick ? 2 : 1);
  }
  for (const column of columns) {
    const thick = sheet.ruleAfter(column);
    pen.fillStyle = thick ? tone.ink : tone.line;
    pen.fillRect(x(column) + layout.cell - 1, 0, thick ? 2 : 1, canvas.clientHeight);
  }
}

function drawFocus({ node, current: [row, column], layout }, pen, tone, { x, y }) {
  if (!node.matches(":focus")) return;
  pen.strokeStyle = tone.link;
  pen.lineWidth = 2;
  pen.strokeRect(x(column) + 1, y(row) + 1, layout.cell - 2, ROW_HEIGHT - 2);
  pen.lineWidth = 1;
}

function cover(pen, tone, ...place) {
  pen.fillStyle = tone.panel;
  pen.fillRect(...place);
  pen.fillStyle = tone.faint;
}

function drawRowHeads({ sheet, layout, canvas }, pen, tone, { rows, y }) {
  cover(pen, tone, 0, layout.top, layout.left, canvas.clientHeight);
  pen.textAlign = "right";
  for (const row of rows) {
    let right = -GAP / 2;
    sheet.heads.forEach((text, index) => pen.fillText(text(row), (right += layout.widths[index]), y(row) + ROW_HEIGHT / 2));
  }
}

function drawColumnHeads({ sheet, layout, canvas }, pen, tone, { columns, x }) {
  cover(pen, tone, layout.left, 0, canvas.clientWidth, layout.top);
  const skipped = layout.levels - sheet.columnHeads.length;
  sheet.columnHeads.forEach(({ text, span }, level) => {
    pen.textAlign = span > 1 ? "left" : "center";
    const shift = span > 1 ? GAP / 2 : layout.cell / 2;
    for (const column of columns) {
      if (column % span === 0) pen.fillText(text(column), x(column) + shift, (level + skipped + 0.5) * HEAD_HEIGHT);
    }
  });
  cover(pen, tone, 0, 0, layout.left, layout.top);
  pen.textAlign = "left";
  const names = [...(sheet.levels || []), sheet.corner];
  names.forEach((name, index) => pen.fillText(name, 2, layout.top - (names.length - index - 0.5) * HEAD_HEIGHT));
}

// The pen of a canvas as large as its place on the screen.
function freshPen({ node, canvas }) {
  const scale = window.devicePixelRatio || 1;
  for (const [side, size] of [["width", node.clientWidth], ["height", node.clientHeight]]) {
    if (canvas[side] !== Math.round(size * scale)) canvas[side] = Math.round(size * scale);
    canvas.style[side] = `${size}px`;
  }
  const pen = canvas.getContext("2d");
  pen.setTransform(scale, 0, 0, scale, 0, 0);
  pen.clearRect(0, 0, canvas.width, canvas.height);
  pen.font = FONT;
  pen.textBaseline = "middle";
  return pen;
}

function drawAgain(drawn) {
  const pen = freshPen(drawn);
  const tone = tonesOf(drawn.node);
  const seen = viewport(drawn);
  for (const draw of [drawMarks, drawCells, drawRules, drawFocus, drawRowHeads, drawColumnHeads]) draw(drawn, pen, tone, seen);
}

// The cell under the pointer; null over heads and beside the grid.
function pointedCell({ node, sheet, layout }, event) {
  const edge = node.getBoundingClientRect();
  const [x, y] = [event.clientX - edge.left, event.clientY - edge.top];
  const row = Math.floor((y - layout.top + node.scrollTop) / ROW_HEIGHT);
  const column = Math.floor((x - layout.left + node.scrollLeft) / layout.cell);
  return x > layout.left && y > layout.top && row < sheet.rows && column < sheet.columns ? [row, column] : null;
}

function keepSeen({ node, layout, current: [row, column] }) {
  const [top, left] = [row * ROW_HEIGHT, column * layout.cell];
  node.scrollTop = Math.min(Math.max(node.scrollTop, top + ROW_HEIGHT + layout.top - node.clientHeight), top);
  node.scrollLeft = Math.min(Math.max(node.scrollLeft, left + layout.cell + layout.left - node.clientWidth), left);
}

function listen(drawn, on, redraw) {
  const { node, sheet } = drawn;
  const at = (event, act) => {
    const cell = pointedCell(drawn, event);
    if (cell) act(...(drawn.current = cell));
  };
  const go = (...cell) => {
    drawn.current = cell;
    keepSeen(drawn);
    on.move(...cell);
  };
  node.addEventListener("scroll", redraw);
  node.addEventListener("blur", redraw);
  node.addEventListener("focus", () => on.hover(...drawn.current));
  node.addEventListener("pointermove", (event) => {
    if (String(pointedCell(drawn, event)) !== String(drawn.current)) at(event, on.hover);
  });
  node.addEventListener("click", (event) => at(event, on.pick));
  node.addEventListener("keydown", (event) => keyed(event, drawn.current, sheet, go, on.pick));
  new ResizeObserver(redraw).observe(node);
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", redraw);
}

export function canvasGrid(sheet, on) {
  const canvas = element("canvas", {});
  const room = element("div", {}, canvas);
  const node = element("div", { class: "canvas-grid", tabindex: "0", role: "application" }, room);
  const drawn = { node, canvas, sheet, layout: layoutOf(sheet), marks: [], current: [0, 0] };
  room.style.width = `${drawn.layout.width}px`;
  room.style.height = `${drawn.layout.height}px`;
  let due = 0;
  const redraw = () => {
    due = due || requestAnimationFrame(() => {
      due = 0;
      drawAgain(drawn);
    });
  };
  const mark = (marks) => {
    drawn.marks = marks;
    redraw();
  };
  listen(drawn, on, redraw);
  return { node, mark, refill: redraw, scroller: node };
}
