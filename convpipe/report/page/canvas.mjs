// A grid of more numbers than a table can hold: only what is seen of it is drawn. The interface is that of grid.mjs.
import { element } from "./dom.mjs";
import { HEAD_HEIGHT, ROW_HEIGHT, keyed } from "./grid.mjs";
import { rangeOf } from "./geometry.mjs";

const FONT = '12px ui-monospace, "DejaVu Sans Mono", Menlo, Consolas, monospace';
const GAP = 11;
const COLOURS = ["paper", "panel", "ink", "faint", "line", "pixel", "weight", "cell", "link", "hatch"];
const FILLS = { window: "pixel", weight: "weight", result: "cell", feeds: "cell" };
const DASHES = { window: [], weight: [2, 2], result: [], feeds: [4, 3] };

const measure = () => {
  const pen = document.createElement("canvas").getContext("2d");
  pen.font = FONT;
  return pen.measureText("0").width;
};

// Where everything stands: widths of a cell and of the row heads, height of the column heads.
function layoutOf(sheet) {
  const character = measure();
  const widths = sheet.heads.map((_, index) => sheet.widths[index] * character + GAP);
  const left = widths.reduce((sum, width) => sum + width, 0);
  const cell = (sheet.characters + (sheet.bracketed ? 2 : 0)) * character + GAP;
  const top = HEAD_HEIGHT * (sheet.tall || sheet.columnHeads.length);
  return { character, widths, left, cell, top, width: left + cell * sheet.columns, height: top + ROW_HEIGHT * sheet.rows };
}

function colours(node) {
  const style = getComputedStyle(node);
  return Object.fromEntries(COLOURS.map((name) => [name, style.getPropertyValue(`--${name}`).trim()]));
}

function hatch(pen, x, y, width, line) {
  pen.save();
  pen.beginPath();
  pen.rect(x, y, width, ROW_HEIGHT);
  pen.clip();
  pen.strokeStyle = line;
  pen.beginPath();
  for (let start = x - ROW_HEIGHT; start < x + width; start += 6) {
    pen.moveTo(start, y + ROW_HEIGHT);
    pen.lineTo(start + ROW_HEIGHT, y);
  }
  pen.stroke();
  pen.restore();
}

export function canvasGrid(sheet, on) {
  const canvas = element("canvas", {});
  const spacer = element("div", { class: "spacer" }, canvas);
  const node = element("div", { class: "canvas-grid", tabindex: "0", role: "application" }, spacer);
  const place = layoutOf(sheet);
  spacer.style.width = `${place.width}px`;
  spacer.style.height = `${place.height}px`;
  let marks = [];
  let current = [0, 0];
  let due = 0;
  const seen = () => ({
    rows: rangeOf(Math.floor(node.scrollTop / ROW_HEIGHT), Math.min(sheet.rows, Math.ceil((node.scrollTop + node.clientHeight - place.top) / ROW_HEIGHT))),
    columns: rangeOf(Math.floor(node.scrollLeft / place.cell), Math.min(sheet.columns, Math.ceil((node.scrollLeft + node.clientWidth - place.left) / place.cell))),
  });
  const xOf = (column) => place.left + column * place.cell - node.scrollLeft;
  const yOf = (row) => place.top + row * ROW_HEIGHT - node.scrollTop;

  function drawMarks(pen, tone) {
    for (const [row, column, rows, columns, look] of marks) {
      const [kind, chosen] = look.split(" ");
      pen.fillStyle = tone[FILLS[kind]];
      pen.fillRect(xOf(column), yOf(row), columns * place.cell, rows * ROW_HEIGHT);
      pen.strokeStyle = tone.ink;
      pen.lineWidth = chosen ? 2.5 : 1;
      pen.setLineDash(DASHES[kind]);
      pen.strokeRect(xOf(column) + 1, yOf(row) + 1, columns * place.cell - 2, rows * ROW_HEIGHT - 2);
    }
    pen.setLineDash([]);
    pen.lineWidth = 1;
  }

  function drawCells(pen, tone, { rows, columns }) {
    pen.textAlign = "right";
    for (const row of rows) {
      for (const column of columns) {
        const padding = sheet.padding(row, column);
        if (padding) hatch(pen, xOf(column), yOf(row), place.cell, tone.hatch);
        pen.fillStyle = tone.ink;
        const shift = sheet.bracketed && !padding ? place.character : 0;
        pen.fillText(sheet.text(row, column), xOf(column) + place.cell - GAP / 2 - shift, yOf(row) + ROW_HEIGHT / 2);
      }
    }
  }

  function drawRules(pen, tone, { rows, columns }) {
    const line = (thick, x, y, width, height) => {
      pen.fillStyle = thick ? tone.ink : tone.line;
      pen.fillRect(x, y, thick ? Math.max(width, Math.min(2, width * 2)) : width, thick ? Math.max(height, Math.min(2, height * 2)) : height);
    };
    for (const row of rows) line(sheet.ruleBelow(row), 0, yOf(row) + ROW_HEIGHT - 1, canvas.clientWidth, 1);
    for (const column of columns) line(sheet.ruleAfter(column), xOf(column) + place.cell - 1, 0, 1, canvas.clientHeight);
  }

  function drawHeads(pen, tone, { rows, columns }) {
    const cover = (x, y, width, height) => {
      pen.fillStyle = tone.panel;
      pen.fillRect(x, y, width, height);
      pen.fillStyle = tone.faint;
    };
    cover(0, place.top, place.left, canvas.clientHeight);
    pen.textAlign = "right";
    for (const row of rows) {
      let x = 0;
      sheet.heads.forEach((text, index) => pen.fillText(text(row), (x += place.widths[index]) - GAP / 2, yOf(row) + ROW_HEIGHT / 2));
    }
    cover(place.left, 0, canvas.clientWidth, place.top);
    const skip = (sheet.tall || sheet.columnHeads.length) - sheet.columnHeads.length;
    sheet.columnHeads.forEach(({ text, span }, level) => {
      pen.textAlign = span > 1 ? "left" : "center";
      for (const column of columns) {
        if (column % span === 0) pen.fillText(text(column), xOf(column) + (span > 1 ? GAP / 2 : place.cell / 2), (level + skip + 0.5) * HEAD_HEIGHT);
      }
    });
    cover(0, 0, place.left, place.top);
    pen.textAlign = "left";
    pen.fillText(sheet.corner, 2, place.top - HEAD_HEIGHT / 2);
  }

  function draw() {
    due = 0;
    const scale = window.devicePixelRatio || 1;
    const [width, height] = [node.clientWidth, node.clientHeight];
    if (canvas.width !== Math.round(width * scale)) canvas.width = Math.round(width * scale);
    if (canvas.height !== Math.round(height * scale)) canvas.height = Math.round(height * scale);
    canvas.style.width = `${width}px`;
    canvas.style.height = `${height}px`;
    const pen = canvas.getContext("2d");
    const tone = colours(node);
    pen.setTransform(scale, 0, 0, scale, 0, 0);
    pen.clearRect(0, 0, width, height);
    pen.font = FONT;
    pen.textBaseline = "middle";
    const part = seen();
    drawMarks(pen, tone);
    drawCells(pen, tone, part);
    drawRules(pen, tone, part);
    if (node.matches(":focus")) {
      pen.strokeStyle = tone.link;
      pen.lineWidth = 2;
      pen.strokeRect(xOf(current[1]) + 1, yOf(current[0]) + 1, place.cell - 2, ROW_HEIGHT - 2);
      pen.lineWidth = 1;
    }
    drawHeads(pen, tone, part);
  }

  const redraw = () => {
    if (!due) due = requestAnimationFrame(draw);
  };
  const cellOf = (event) => {
    const edge = node.getBoundingClientRect();
    const [x, y] = [event.clientX - edge.left, event.clientY - edge.top];
    const row = Math.floor((y - place.top + node.scrollTop) / ROW_HEIGHT);
    const column = Math.floor((x - place.left + node.scrollLeft) / place.cell);
    return x > place.left && y > place.top && row < sheet.rows && column < sheet.columns ? [row, column] : null;
  };
  function keepSeen([row, column]) {
    const [y, x] = [row * ROW_HEIGHT, column * place.cell];
    node.scrollTop = Math.min(Math.max(node.scrollTop, y + ROW_HEIGHT + place.top - node.clientHeight), y);
    node.scrollLeft = Math.min(Math.max(node.scrollLeft, x + place.cell + place.left - node.clientWidth), x);
  }
  node.addEventListener("scroll", redraw);
  node.addEventListener("focus", () => (redraw(), on.hover(...current)));
  node.addEventListener("blur", redraw);
  node.addEventListener("pointermove", (event) => {
    const cell = cellOf(event);
    if (cell && String(cell) !== String(current)) on.hover(...(current = cell));
  });
  node.addEventListener("click", (event) => {
    const cell = cellOf(event);
    if (cell) on.pick(...(current = cell));
  });
  const go = (...next) => {
    keepSeen((current = next));
    on.move(...next);
  };
  node.addEventListener("keydown", (event) => keyed(event, current, sheet, go, on.pick));
  new ResizeObserver(redraw).observe(node);
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", redraw);
  const mark = (next) => {
    marks = next;
    redraw();
  };
  return { node, mark, refill: redraw, scroller: node };
}
