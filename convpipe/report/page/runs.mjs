// The table of runs: as many rows in the document as are in sight, and the right height for all.
import { nameWithUnit } from "./columns.mjs";
import { element, word } from "./dom.mjs";
import { isNumeric } from "./python.mjs";

const LINE_HEIGHT = 28;
const SPARE_ROWS = 8;
const MOST_WIDE = 34;
const MOST_IN_TABLE = 60;

// Which rows to draw: {first, count} of `total` for a box that is scrolled so far.
export function rowWindow(top, height, total, rowHeight = LINE_HEIGHT) {
  const seen = Math.ceil(height / rowHeight);
  const count = Math.min(total, MOST_IN_TABLE, seen + 2 * SPARE_ROWS);
  const spare = Math.max(0, Math.floor((count - seen) / 2));
  const first = Math.max(0, Math.min(Math.floor(top / rowHeight) - spare, total - count));
  return { first, count };
}

// Where a key leads in a table of so many rows and columns, row -1 being its head; null where it leads nowhere.
export function stepTo(key, at, rows, columns, page) {
  const moves = {
    ArrowUp: [-1, 0], ArrowDown: [1, 0], ArrowLeft: [0, -1], ArrowRight: [0, 1],
    PageUp: [-page, 0], PageDown: [page, 0], Home: [0, -columns], End: [0, columns],
  };
  if (!moves[key]) return null;
  const within = (value, low, high) => Math.max(low, Math.min(value, high));
  const [down, across] = moves[key];
  return { row: within(at.row + down, -1, rows - 1), column: within(at.column + across, 0, columns - 1) };
}

const WIDTHS = new WeakMap();

// How wide a column is, in digits: letters of East Asia take two.
export function widthOf(column) {
  if (!WIDTHS.has(column)) WIDTHS.set(column, widestText(column));
  return WIDTHS.get(column);
}

function widestText(column) {
  let most = nameWithUnit(column.name).length + 3;
  for (const text of column.texts) {
    if (most >= MOST_WIDE) break;
    most = Math.max(most, text.length + (text.match(/[\u1100-\uffdc]/g) || []).length);
  }
  return Math.min(most, MOST_WIDE) + 2;
}

export function isNumberColumn(column) {
  return column.count > 0 && column.values.slice(0, column.count).every((value) => isNumeric(value) && typeof value !== "boolean");
}

// The address of a run's page beside this one.
export function pageOf(run) {
  return `${encodeURIComponent(run)}.html`;
}

// The link to a run's page where it has one, or its name.
export function runName(model, row) {
  const run = model.columns.get("run").text(row);
  return model.hasPage[row] ? element("a", { href: pageOf(run) }, run) : run;
}

// The table: {node, redraw(), mark()}. `model` has columns, shown (names), rows (in order), hovered, kept, sort.
export function runsTable(app, model, on) {
  const body = element("tbody");
  const head = element("thead");
  const widths = element("colgroup");
  const table = element("table", { role: "grid", class: "grid" }, word("caption", "runs.caption", { class: "unseen" }), widths, head, body);
  const node = element("div", { class: "wide window" }, table);
  const at = { row: -1, column: 0 };
  let drawn = { first: 0, count: 0 };
  let cells = [];
  let height = 540;

  function shownColumns() {
    return model.shown.map((name) => model.columns.get(name));
  }

  function headCell(column, place) {
    const down = model.sort && model.sort.name === column.name ? model.sort.down : null;
    const sign = down === null ? "" : down ? " ▼" : " ▲";
    const sorted = down === null ? "none" : down ? "descending" : "ascending";
    const button = element("button", { type: "button", class: "link", tabindex: -1, onclick: () => on.sort(column.name) }, nameWithUnit(column.name) + sign);
    return element("th", { scope: "col", "aria-sort": sorted, "aria-colindex": place + 1, class: column.isNumber ? "number" : null }, button);
  }

  function bodyCell(column, place, row) {
    const text = column.text(row);
    const attributes = { "aria-colindex": place + 1, class: column.isNumber ? "number" : null, title: text.length > MOST_WIDE ? text : null };
    if (column.name !== "run") return element("td", { ...attributes, tabindex: -1 }, text);
    const link = runName(model, row);
    if (link instanceof Node) link.tabIndex = -1;
    return element("th", { scope: "row", ...attributes, tabindex: link instanceof Node ? null : -1 }, link);
  }

  function bodyRow(place, columns) {
    const row = model.rows[place];
    return element("tr", { "aria-rowindex": place + 2, "data-row": row }, columns.map((column, at) => bodyCell(column, at, row)));
  }

  function drawHead() {
    const columns = shownColumns();
    const sizes = columns.map(widthOf);
    widths.replaceChildren(...sizes.map((size) => Object.assign(element("col"), { size })));
    [...widths.children].forEach((column, place) => {
      column.style.width = `${sizes[place]}ch`;
    });
    table.style.width = `${sizes.reduce((sum, size) => sum + size, 0)}ch`;
    head.replaceChildren(element("tr", { "aria-rowindex": 1 }, columns.map(headCell)));
    table.setAttribute("aria-rowcount", model.rows.length + 1);
    table.setAttribute("aria-colcount", columns.length);
  }

  function drawBody() {
    const columns = shownColumns();
    drawn = rowWindow(node.scrollTop, height, model.rows.length);
    body.style.setProperty("--before", `${drawn.first * LINE_HEIGHT}px`);
    body.style.setProperty("--after", `${(model.rows.length - drawn.first - drawn.count) * LINE_HEIGHT}px`);
    const hadFocus = body.contains(document.activeElement);
    cells = Array.from({ length: drawn.count }, (_, place) => bodyRow(drawn.first + place, columns));
    body.replaceChildren(...cells);
    mark();
    settle(hadFocus);
  }

  function target(row, column) {
    const line = row < 0 ? head.firstElementChild : cells[row - drawn.first];
    const cell = line && line.children[column];
    return cell ? cell.querySelector("a, button") || cell : null;
  }

  // The one cell that Tab leads to.
  function settle(focused) {
    at.row = Math.min(at.row, model.rows.length - 1);
    at.column = Math.max(0, Math.min(at.column, model.shown.length - 1));
    for (const each of table.querySelectorAll('[tabindex="0"]')) each.tabIndex = -1;
    const cell = target(at.row, at.column) || target(-1, at.column);
    if (!cell) return;
    cell.tabIndex = 0;
    if (focused) cell.focus({ preventScroll: true });
  }

  function show(row) {
    const top = row * LINE_HEIGHT;
    const space = height - 2 * LINE_HEIGHT;
    if (top < node.scrollTop) node.scrollTop = top;
    else if (top > node.scrollTop + space) node.scrollTop = top - space;
    drawBody();
  }

  function mark() {
    for (const line of cells) {
      const row = Number(line.dataset.row);
      line.classList.toggle("lit", row === model.hovered);
      line.classList.toggle("kept", row === model.kept);
    }
  }

  function rowOf(event) {
    const line = event.target.closest("tbody tr");
    return line ? Number(line.dataset.row) : -1;
  }

  node.addEventListener("scroll", () => {
    const next = rowWindow(node.scrollTop, height, model.rows.length);
    const atEnd = next.first === 0 || next.first + next.count === model.rows.length;
    if (next.first !== drawn.first && (atEnd || Math.abs(next.first - drawn.first) >= SPARE_ROWS / 2)) drawBody();
  });
  table.addEventListener("mouseover", (event) => on.hover(rowOf(event)));
  table.addEventListener("mouseleave", () => on.hover(-1));
  table.addEventListener("click", (event) => {
    if (rowOf(event) >= 0 && !event.target.closest("a")) on.keep(rowOf(event));
  });
  table.addEventListener("focusin", (event) => {
    const line = event.target.closest("tr");
    const cell = event.target.closest("td, th");
    if (!line || !cell) return;
    at.row = Number(line.getAttribute("aria-rowindex")) - 2;
    at.column = [...line.children].indexOf(cell);
    settle(false);
    on.hover(rowOf(event));
  });
  table.addEventListener("keydown", (event) => {
    const page = Math.max(1, Math.floor(height / LINE_HEIGHT) - 2);
    const next = stepTo(event.key, at, model.rows.length, model.shown.length, page);
    if (next) {
      event.preventDefault();
      Object.assign(at, next);
      if (at.row >= 0) show(at.row);
      settle(true);
      const cell = target(at.row, at.column);
      if (cell) cell.scrollIntoView({ block: "nearest", inline: "nearest" });
    } else if ([" ", "Enter"].includes(event.key) && rowOf(event) >= 0 && !event.target.closest("a")) {
      event.preventDefault();
      on.keep(rowOf(event));
    }
  });

  new ResizeObserver(() => {
    if (node.clientHeight && node.clientHeight !== height) {
      height = node.clientHeight;
      drawBody();
    }
  }).observe(node);
  return {
    node,
    mark,
    reveal(row) {
      const place = model.rows.indexOf(row);
      if (place >= 0) show(place);
    },
    toTop() {
      node.scrollTop = 0;
    },
    redraw() {
      const hadFocus = head.contains(document.activeElement);
      drawHead();
      drawBody();
      if (hadFocus) settle(true);
    },
  };
}
