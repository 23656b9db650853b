// A grid of numbers as a table; canvas.mjs draws larger ones behind the same interface: {node, mark, refill}.
// A sheet says what is in it: {rows, columns, text(r, c), padding(r, c), characters, corner, heads, columnHeads, widths,
// ruleBelow(r), ruleAfter(c)}: heads are functions of r, columnHeads {text(c), span}, widths the heads' in characters.
// A mark is [row, column, rows, columns, look]. `on` is {hover(r, c), move(r, c), pick(r, c)}.
import { element } from "./dom.mjs";
import { rangeOf } from "./geometry.mjs";

export const ROW_HEIGHT = 22;
export const HEAD_HEIGHT = 20;

const MOVES = { ArrowUp: [-1, 0], ArrowDown: [1, 0], ArrowLeft: [0, -1], ArrowRight: [0, 1], Home: [0, -1e9], End: [0, 1e9] };

// What a key does at a cell: moves to another, or picks it.
export function keyed(event, [row, column], sheet, go, pick) {
  const within = (index, size) => Math.max(0, Math.min(size - 1, index));
  const move = MOVES[event.key];
  if (move) go(within(row + move[0], sheet.rows), within(column + move[1], sheet.columns));
  else if (event.key === "Enter" || event.key === " ") pick(row, column);
  else return;
  event.preventDefault();
}

function headRow({ columns, columnHeads, heads, levels = [], corner }, level) {
  const { text, span } = columnHeads[level];
  const cells = rangeOf(0, columns / span).map((index) => element("th", span > 1 ? { scope: "colgroup", colspan: span } : { scope: "col" }, text(index * span)));
  const first = heads.length ? element("td", { colspan: heads.length, class: "corner" }, levels[level] || corner) : null;
  return element("tr", {}, first, cells);
}

function bodyRow(sheet, row) {
  const cells = rangeOf(0, sheet.columns).map((column) => {
    const look = (sheet.ruleAfter(column) ? "rule " : "") + (sheet.padding(row, column) ? "padding" : "");
    return element("td", { class: look || null }, sheet.text(row, column));
  });
  return element("tr", { class: sheet.ruleBelow(row) && "rule" }, sheet.heads.map((text) => element("th", { scope: "row" }, text(row))), cells);
}

function tableOf(sheet) {
  const body = element("tbody", {}, rangeOf(0, sheet.rows).map((row) => bodyRow(sheet, row)));
  const head = element("thead", {}, sheet.columnHeads.map((_, level) => headRow(sheet, level)));
  const table = element("table", { class: sheet.bracketed ? "grid bracketed" : "grid", role: "grid" }, head, body);
  const sizes = { characters: sheet.characters, tall: sheet.tall || 1, head0: sheet.widths[0], head1: sheet.widths[1] };
  for (const [name, size] of Object.entries(sizes)) table.style.setProperty(`--${name}`, size);
  return table;
}

// Marks on table cells: only what changes is touched.
function marker(cellAt) {
  let marked = new Map();
  return (marks) => {
    const next = new Map();
    for (const [row, column, rows, columns, look] of marks) {
      for (let r = row; r < row + rows; r++) for (let c = column; c < column + columns; c++) next.set(cellAt(r, c), look);
    }
    for (const [cell, look] of marked) if (next.get(cell) !== look) cell.classList.remove(...look.split(" "));
    for (const [cell, look] of next) if (marked.get(cell) !== look) cell.classList.add(...look.split(" "));
    marked = next;
  };
}

// Cells that can be pointed at, clicked and walked over with keys, one of them in the order of tabs.
function attend(node, sheet, on, cellAt, placeOf) {
  let current = cellAt(0, 0);
  current.tabIndex = 0;
  function focus(...place) {
    current.removeAttribute("tabindex");
    current = cellAt(...place);
    current.tabIndex = 0;
    current.focus();
  }
  const focused = (act) => (...place) => {
    focus(...place);
    act(...place);
  };
  const at = (type, act) => node.addEventListener(type, (event) => {
    const cell = event.target.closest("tbody td");
    if (cell) act(...placeOf(cell), event);
  });
  at("pointerover", (row, column) => on.hover(row, column));
  at("focusin", (row, column) => on.hover(row, column));
  at("click", (row, column) => focused(on.pick)(row, column));
  at("keydown", (row, column, event) => keyed(event, [row, column], sheet, focused(on.move), on.pick));
}

export function tableGrid(sheet, on) {
  const node = tableOf(sheet);
  const body = node.tBodies[0];
  const first = sheet.heads.length;
  const cellAt = (row, column) => body.rows[row].cells[first + column];
  attend(node, sheet, on, cellAt, (cell) => [cell.parentNode.sectionRowIndex, cell.cellIndex - first]);
  const refill = () => {
    for (let r = 0; r < sheet.rows; r++) for (let c = 0; c < sheet.columns; c++) cellAt(r, c).textContent = sheet.text(r, c);
  };
  return { node, mark: marker(cellAt), refill };
}
