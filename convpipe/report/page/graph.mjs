// The graph of layers: rows by the longest path, columns for branches, and the drawing of it.
import { drawn, element } from "./dom.mjs";

export const BOX = { width: 156, height: 40, row: 64, lane: 22, gap: 14 };
const MOST_LETTERS = 22;
// Rows that are seen without scrolling.
const MOST_ROWS = 14;

// The row of each node: one below the lowest that it reads. What reads nothing stands just above its first reader.
export function layerRows(nodes) {
  const rows = new Map();
  for (const node of nodes) {
    rows.set(node.name, Math.max(0, ...node.inputs.map((name) => rows.get(name) + 1)));
  }
  for (const node of nodes) {
    const readers = nodes.filter((each) => each.inputs.includes(node.name)).map((each) => rows.get(each.name));
    if (!node.inputs.length && readers.length) rows.set(node.name, Math.min(...readers) - 1);
  }
  return rows;
}

function firstFree(taken, rows, wanted) {
  const isFree = (column) => rows.every((row) => !taken.has(`${row}:${column}`));
  const near = wanted.find(isFree);
  if (near !== undefined) return near;
  let column = 0;
  while (!isFree(column)) column++;
  return column;
}

function take(taken, rows, column) {
  for (const row of rows) taken.add(`${row}:${column}`);
  return column;
}

// A column for each node, that of what it goes on from where that is free; and for each long edge one in which it
// passes no box. Boxes: {node, row, column}; edges: {from, to, through: column or null}.
export function graphLayout(nodes) {
  const rows = layerRows(nodes), taken = new Set(), columns = new Map(), edges = [];
  const inOrder = [...nodes].sort((a, b) => rows.get(a.name) - rows.get(b.name));
  for (const node of inOrder) {
    const row = rows.get(node.name);
    const before = node.inputs.filter((name) => rows.get(name) === row - 1).map((name) => columns.get(name));
    columns.set(node.name, take(taken, [row], firstFree(taken, [row], before)));
    for (const from of new Set(node.inputs)) edges.push({ from, to: node.name, span: row - rows.get(from) });
  }
  for (const edge of [...edges].sort((a, b) => a.span - b.span)) {
    const first = rows.get(edge.from) + 1;
    const between = Array.from({ length: edge.span - 1 }, (_, step) => first + step);
    const near = [columns.get(edge.from), columns.get(edge.to)];
    edge.through = between.length ? take(taken, between, firstFree(taken, between, near)) : null;
  }
  const boxes = nodes.map((node) => ({ node, row: rows.get(node.name), column: columns.get(node.name) }));
  return { boxes, edges };
}

// The middle of each column, and where edges pass in it: those with boxes are wide, and edges pass at their left.
export function columnMiddles({ boxes, edges }) {
  const wide = new Set(boxes.map((box) => box.column));
  const last = Math.max(...wide, ...edges.map((edge) => edge.through ?? 0));
  const middles = [], passes = [];
  let left = BOX.gap;
  for (let column = 0; column <= last; column++) {
    const width = wide.has(column) ? BOX.width : BOX.lane;
    middles.push(left + width / 2);
    passes.push(left + BOX.lane / 2);
    left += width + BOX.gap;
  }
  return { middles, passes, width: left };
}

const topOf = (row) => BOX.gap + row * BOX.row;

// An edge as the text of a path: down, and over to another column between two rows.
export function edgePath(start, end, through) {
  const bend = (x, y, toX, toY) => `C${x} ${(y + toY) / 2} ${toX} ${(y + toY) / 2} ${toX} ${toY}`;
  const [x, y] = [start.x, topOf(start.row) + BOX.height];
  const [toX, toY] = [end.x, topOf(end.row)];
  if (through === null) return `M${x} ${y}${bend(x, y, toX, toY)}`;
  const [high, low] = [topOf(start.row + 1), topOf(end.row - 1) + BOX.height];
  return `M${x} ${y}${bend(x, y, through, high)}V${low}${bend(through, low, toX, toY)}`;
}

// The node that an arrow key leads to; the same where there is none.
export function neighbourOf(layout, name, key) {
  const from = layout.boxes.find((box) => box.node.name === name);
  const away = { ArrowUp: [-1, 0], ArrowDown: [1, 0], ArrowLeft: [0, -1], ArrowRight: [0, 1] }[key];
  if (key === "Home") return layout.boxes[0].node.name;
  if (key === "End") return layout.boxes[layout.boxes.length - 1].node.name;
  if (!away) return name;
  const [down, aside] = away;
  const there = layout.boxes.filter((box) =>
    down ? (box.row - from.row) * down > 0 : box.row === from.row && (box.column - from.column) * aside > 0);
  const distance = (box) => Math.abs(box.row - from.row) * 100 + Math.abs(box.column - from.column);
  const best = there.reduce((near, box) => (near && distance(near) <= distance(box) ? near : box), null);
  return best ? best.node.name : name;
}

export const shapeText = (sizes) => sizes.join("×") || "1";
export const cutText = (text, most = MOST_LETTERS) => (text.length > most ? `${text.slice(0, most - 1)}…` : text);

function drawnBox(box, middles) {
  const { node } = box;
  const kind = node.conv ? "node conv" : node.inputs.length ? "node" : "node given";
  return drawn("g", {
    class: kind, role: "option", tabindex: -1, "data-node": node.name, "aria-selected": "false",
    "aria-label": `${node.name}, ${node.op}, ${shapeText(node.shape)}`,
    transform: `translate(${middles[box.column] - BOX.width / 2} ${topOf(box.row)})`,
  },
  drawn("title", {}, `${node.name}: ${node.op} ${shapeText(node.shape)}`),
  drawn("rect", { width: BOX.width, height: BOX.height, rx: 6 }),
  drawn("text", { x: BOX.width / 2, y: 17, class: "name" }, cutText(node.name)),
  drawn("text", { x: BOX.width / 2, y: 32, class: "size" }, cutText(`${node.op} ${shapeText(node.shape)}`, 26)));
}

// The drawing: one tab stop, arrow keys move in it, Enter, space and a click choose.
export function drawnGraph(nodes, choose) {
  const layout = graphLayout(nodes);
  const { middles, passes, width } = columnMiddles(layout);
  const at = new Map(layout.boxes.map((box) => [box.node.name, { x: middles[box.column], row: box.row }]));
  const height = topOf(Math.max(...layout.boxes.map((box) => box.row))) + BOX.height + BOX.gap;
  const paths = layout.edges.map((edge) => drawn("path", {
    d: edgePath(at.get(edge.from), at.get(edge.to), edge.through === null ? null : passes[edge.through]),
    "data-from": edge.from, "data-to": edge.to,
  }));
  const boxes = layout.boxes.map((box) => drawnBox(box, middles));
  const svg = drawn("svg", { width, height, viewBox: `0 0 ${width} ${height}`, role: "listbox", "data-label": "graph" },
    drawn("g", { class: "edges", "aria-hidden": "true" }, paths), boxes);
  const boxOf = (name) => boxes.find((box) => box.dataset.node === name);
  svg.addEventListener("click", (event) => {
    const box = event.target.closest("[data-node]");
    if (box) choose(box.dataset.node);
  });
  svg.addEventListener("keydown", (event) => {
    const name = event.target.dataset.node;
    if (event.key === "Enter" || event.key === " ") choose(name);
    else if (neighbourOf(layout, name, event.key) !== name) focusBox(svg, boxOf(neighbourOf(layout, name, event.key)));
    else return;
    event.preventDefault();
  });
  const long = layout.boxes.some((box) => box.row > MOST_ROWS);
  return element("div", { class: long ? "wide graph long" : "wide graph" }, svg);
}

function focusBox(svg, box) {
  for (const each of svg.querySelectorAll("[data-node]")) each.setAttribute("tabindex", each === box ? 0 : -1);
  box.focus({ preventScroll: true });
  showBox(svg.parentNode, box);
}

// Scrolls the graph alone, so far that a box is seen.
function showBox(frame, box) {
  const inside = box.getBoundingClientRect(), around = frame.getBoundingClientRect();
  if (inside.top < around.top || inside.bottom > around.bottom) {
    frame.scrollTop += inside.top - around.top - (around.height - inside.height) / 2;
  }
  if (inside.left < around.left || inside.right > around.right) frame.scrollLeft += inside.left - around.left - BOX.gap;
}

// Marks the chosen node, and what leads to it and away from it.
export function markNode(frame, name) {
  for (const box of frame.querySelectorAll("[data-node]")) {
    const own = box.dataset.node === name;
    box.setAttribute("aria-selected", String(own));
    box.setAttribute("tabindex", own ? 0 : -1);
    if (own) showBox(frame, box);
  }
  for (const edge of frame.querySelectorAll("[data-from]")) {
    edge.classList.toggle("near", edge.dataset.from === name || edge.dataset.to === name);
  }
}
