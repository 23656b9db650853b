// A grid of numbers as a table; canvas.mjs draws larger ones behind the same interface: {node, mark, refill}.
// A sheet says what is in it: {title, rows, columns, text(r, c), padding(r, c), characters, corner, rowHeads,
// columnHeads, headCharacters, thickAfterRow(r), thickAfterColumn(c)}; rowHeads are functions of r, columnHeads are
// {text(c), span}. A mark is [row, column, rows, columns, look]. `on` is {hover(r, c), move(r, c), pick(r, c)}.
import { element } from "./dom.mjs";
import { rangeOf } from "./geometry.mjs";

const MOVES = { ArrowUp: [-1, 0], ArrowDown: [1, 0], ArrowLeft: [0, -1], ArrowRight: [0, 1] };

// Where a key leads from a cell; undefined for other keys.
export function movedBy(key, [row, column], sheet) {
  const within = (index, size) => Math.max(0, Math.min(size - 1, index));
  if (key === "Home") return [row, 0];
  if (key === "End") return [row, sheet.columns - 1];
  const move = MOVES[key];
  return move && [within(row + move[0], sheet.rows), within(column + move[1], sheet.columns)];
}

function headRow(sheet, level, last) {
  const { text, span } = sheet.columnHeads[level];
  const heads = rangeOf(0, Math.ceil(sheet.columns / span)).map((index) =>
    element("th", { scope: span > 1 ? "colgroup" : "col", colspan: span > 1 && span }, text(index * span)),
  );
  const corner = sheet.rowHeads.length && element("td", { colspan: sheet.rowHeads.length, class: "corner" }, last ? sheet.corner : sheet.levels[level]);
  return element("tr", {}, corner || null, heads);
}

function bodyRow(sheet, row) {
  const heads = sheet.rowHeads.map((text) => element("th", { scope: "row" }, text(row)));
  const cells = rangeOf(0, sheet.columns).map((column) => {
    const look = [sheet.thickAfterColumn(column) && "rule", sheet.padding(row, column) && "padding"].filter(Boolean);
    return element("td", { class: look.length ? look.join(" ") : null }, sheet.text(row, column));
  });
  return element("tr", { class: sheet.thickAfterRow(row) ? "rule" : null }, heads, cells);
}

function tableOf(sheet) {
  const heads = sheet.columnHeads.map((_, level) => headRow(sheet, level, level === sheet.columnHeads.length - 1));
  const body = element("tbody", {}, rangeOf(0, sheet.rows).map((row) => bodyRow(sheet, row)));
  const table = element("table", { class: `grid${sheet.bracketed ? " bracketed" : ""}`, role: "grid" }, element("thead", {}, heads), body);
  table.style.setProperty("--characters", sheet.characters);
  table.style.setProperty("--tall", sheet.tall || 1);
  sheet.headCharacters.forEach((characters, index) => table.style.setProperty(`--head${index}`, characters));
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

export const ROW_HEIGHT = 22;
export const HEAD_HEIGHT = 20;

// Scrolls a grid as little as it takes to show a mark.
export function revealed(scroller, sheet, [row, column, , columns]) {
  const head = HEAD_HEIGHT * sheet.columnHeads.length;
  const top = row * ROW_HEIGHT;
  const room = scroller.clientHeight - head - ROW_HEIGHT;
  if (top < scroller.scrollTop || top > scroller.scrollTop + room) scroller.scrollTop = top - room / 2;
  const width = scroller.scrollWidth / sheet.columns;
  const left = column * width;
  const seen = scroller.clientWidth - width * Math.min(columns, 4) - 120;
  if (left < scroller.scrollLeft || left > scroller.scrollLeft + seen) scroller.scrollLeft = left - width;
}

export function tableGrid(sheet, on) {
  const table = tableOf(sheet);
  const body = table.tBodies[0];
  const first = sheet.rowHeads.length;
  const cellAt = (row, column) => body.rows[row].cells[first + column];
  const placeOfCell = (cell) => [cell.parentNode.sectionRowIndex, cell.cellIndex - first];
  let current = cellAt(0, 0);
  current.tabIndex = 0;
  function focus(row, column) {
    current.removeAttribute("tabindex");
    current = cellAt(row, column);
    current.tabIndex = 0;
    current.focus();
  }
  const cellOfEvent = (event) => {
    const cell = event.target.closest("td");
    return cell && cell.parentNode.parentNode === body ? cell : null;
  };
  const over = (event) => {
    const cell = cellOfEvent(event);
    if (cell) on.hover(...placeOfCell(cell));
  };
  table.addEventListener("pointerover", over);
  table.addEventListener("focusin", over);
  table.addEventListener("click", (event) => {
    const cell = cellOfEvent(event);
    if (!cell) return;
    focus(...placeOfCell(cell));
    on.pick(...placeOfCell(cell));
  });
  table.addEventListener("keydown", (event) => {
    const place = placeOfCell(current);
    const next = movedBy(event.key, place, sheet);
    if (next) {
      focus(...next);
      on.move(...next);
    } else if (event.key === "Enter" || event.key === " ") on.pick(...place);
    else return;
    event.preventDefault();
  });
  const refill = () => {
    for (let r = 0; r < sheet.rows; r++) for (let c = 0; c < sheet.columns; c++) cellAt(r, c).textContent = sheet.text(r, c);
  };
  return { node: table, mark: marker(cellAt), refill };
}
