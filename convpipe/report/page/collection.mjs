// All runs of a collection: a filter, how many are left, and the table of those.
import { kindAdvice, reasonOf } from "./advice.mjs";
import { csvOf, nameWithUnit, readColumns, sortedRows } from "./columns.mjs";
import { element, word } from "./dom.mjs";
import { parallelPlot } from "./parallel.mjs";
import { pythonText } from "./python.mjs";
import { isNumberColumn, pageOf, runsTable } from "./runs.mjs";
import { axisOf, literalText, maskBetween, rangeOn, setEven, wordsBetween } from "./scales.mjs";
import { scatterPlot } from "./scatter.mjs";
import { meaning, rowsWhere } from "./where.mjs";

const TYPING_PAUSE = 120;

// Those of the rows in order for which every mask holds.
export function rowsLeft(order, masks) {
  return order.filter((row) => masks.every((mask) => !mask || mask[row]));
}

export function countText(count) {
  return count.toLocaleString("en");
}

function emptyModel(app, columns, hasPage) {
  const { rows, chosen, unknown } = app.facts;
  const names = [...columns.keys()];
  for (const column of columns.values()) column.isNumber = isNumberColumn(column);
  const all = Uint32Array.from({ length: rows }, (_, row) => row);
  return {
    columns, hasPage, shown: chosen.map((at) => names[at]), known: names.filter((_, at) => !unknown.includes(at)),
    all, order: all, rows: all, mask: null, brushes: new Map(), where: "", isWrong: false, sort: null, hovered: -1, kept: -1,
  };
}

export const collectionView = {
  async build(app) {
    const columns = await readColumns(app);
    const hasPage = (await app.array("pages")).values;
    const model = emptyModel(app, columns, hasPage);
    this.parts = partsOf(app, model);
    for (const mark of ["totals", "first"]) document.getElementById(mark)?.remove();
    this.parts.redraw();
    return element("section", { id: "collection" }, this.parts.nodes);
  },
  update(app, changes) {
    if ("language" in changes && this.parts) this.parts.said();
  },
};

function partsOf(app, model) {
  const count = element("p", { id: "count", role: "status", "aria-live": "polite" });
  const on = { sort, hover, keep, brush };
  const box = whereBox(app, model, filter, said);
  const table = runsTable(app, model, on);
  const chosen = chosenRun(app, model);
  const brushes = brushList(app, model, on);
  const [lines, points] = [parallelPlot(app, model, on), scatterPlot(app, model, on)];
  const plots = [lines, points].filter(Boolean);
  const scales = scaleChoice(app, model, refresh);
  const command = terminalLine(app, model);
  let waiting = false;

  function said() {
    count.textContent = leftText(app, model);
    box.redraw();
    scales.redraw();
    chosen.redraw();
    brushes.redraw();
    command.redraw();
    for (const plot of plots) plot.redraw();
  }

  function refresh() {
    const started = performance.now();
    const ranges = [...model.brushes].map(([name, [low, high]]) => maskBetween(axisOf(model.columns.get(name)), low, high));
    model.rows = rowsLeft(model.order, [model.mask, ...ranges]);
    table.redraw();
    said();
    app.state.redrawn = performance.now() - started;
  }

  function filter() {
    table.toTop();
    refresh();
  }

  function sort(name) {
    const down = model.sort && model.sort.name === name ? !model.sort.down : false;
    model.sort = { name, down };
    model.order = sortedRows(model.columns.get(name), down);
    filter();
  }

  // As often as the screen is drawn, and no more.
  function brush(name, range) {
    if (range) model.brushes.set(name, range);
    else if (!model.brushes.delete(name)) return;
    if (waiting) return;
    waiting = true;
    requestAnimationFrame(() => {
      waiting = false;
      refresh();
    });
  }

  function mark() {
    for (const part of [table, chosen, ...plots]) part.mark();
  }

  function hover(row) {
    if (row === model.hovered) return;
    model.hovered = row;
    mark();
  }

  function keep(row) {
    model.kept = model.kept === row ? -1 : row;
    if (model.kept >= 0) table.reveal(row);
    mark();
  }

  document.addEventListener("keydown", (event) => {
    if (event.key === "Escape" && model.kept >= 0) keep(model.kept);
  });
  const choice = columnChoice(app, model, refresh);
  const beside = element("div", { class: "plots" }, points && points.node, chosen.node);
  const tools = element("div", { class: "row tools" }, choice, copyButton(app, model));
  const lacks = app.facts.leftOut.length ? element("p", { class: "faint" }, word("span", "runs.left_out"), ` ${app.facts.leftOut.join(", ")}`) : null;
  const left = element("div", { class: "row" }, count, brushes.node);
  const units = model.columns.has("seconds") ? word("p", "unit.seconds", { class: "faint" }) : null;
  const nodes = [box.node, left, lacks, scales.node, lines.node, beside, word("h2", "runs.caption"), tools, command.node, units, table.node];
  return { nodes, redraw: refresh, said };
}

// How many runs are left; where the filter that stands in the box is none, by which filter they are.
function leftText(app, model) {
  const text = app.say("runs.left", { left: countText(model.rows.length), all: countText(app.facts.rows) });
  if (!model.isWrong) return text;
  return `${text} ${model.where ? app.say("runs.before", { where: model.where }) : app.say("runs.unfiltered")}`;
}

// For each column over more than two powers of ten whether its axes go by those; what is chosen on them stays.
function scaleChoice(app, model, changed) {
  const node = element("p", { class: "row", id: "scales" });
  const toggle = (column) => {
    const range = model.brushes.get(column.name);
    const former = axisOf(column);
    setEven(column, former.isLog);
    if (range) model.brushes.set(column.name, rangeOn(axisOf(column), former, range));
    changed();
  };
  const names = () => model.shown.filter((name) => axisOf(model.columns.get(name))?.mayBeLog);
  function redraw() {
    const key = JSON.stringify([names(), app.state.language]);
    if (key === node.dataset.key) return;
    node.dataset.key = key;
    const boxes = names().map((name) => {
      const column = model.columns.get(name);
      const box = element("input", { type: "checkbox", checked: !column.isEven, onchange: () => toggle(column) });
      return element("label", {}, box, ` ${name}`);
    });
    node.replaceChildren(...(boxes.length ? [app.say("plot.log"), ...boxes] : []));
  }
  return { node, redraw };
}

// What is chosen on axes, each as `--where` would say it, with a button that frees it.
function brushList(app, model, on) {
  const node = element("div", { class: "row", id: "brushes" });
  function redraw() {
    node.replaceChildren(...[...model.brushes].map(([name, [low, high]]) => {
      const text = wordsBetween(axisOf(model.columns.get(name)), low, high);
      const label = app.say("brush.free", { text });
      return element("button", { type: "button", "aria-label": label, onclick: () => on.brush(name, null) }, element("code", {}, text), " ×");
    }));
  }
  return { node, redraw };
}

function whereBox(app, model, changed, said) {
  const error = element("p", { id: "where-error", class: "error", role: "alert" });
  const advice = element("p", { id: "where-advice", class: "faint", role: "status" });
  const box = element("input", {
    id: "where", type: "text", spellcheck: "false", autocomplete: "off", autocapitalize: "off", "aria-describedby": "where-error",
    oninput: () => {
      clearTimeout(waiting);
      waiting = setTimeout(apply, TYPING_PAUSE);
    },
    onkeydown: (event) => {
      if (event.key === "Enter") apply();
    },
  });
  let waiting = 0;
  let found = {};
  let hint = null;
  function redraw() {
    advice.textContent = hint ? app.say(hint.key, hint.values) : "";
    if (!found.error) return error.replaceChildren();
    const { key, values } = reasonOf(found.why, model.columns.values());
    return error.replaceChildren(app.say(key, values), " ", element("code", { class: "faint", lang: "en" }, found.error));
  }
  function apply() {
    clearTimeout(waiting);
    const text = box.value.trim();
    const valueOf = (name) => model.columns.get(name).value;
    found = text ? rowsWhere(text, app.facts.rows, model.known, valueOf, app.facts.where) : { mask: null };
    hint = text && !found.error ? kindAdvice(text, (name) => columnMeant(app, model, name)) : null;
    model.isWrong = Boolean(found.error);
    box.setAttribute("aria-invalid", model.isWrong ? "true" : "false");
    if (found.error) {
      said();
      return;
    }
    model.mask = found.mask;
    model.where = text;
    changed();
  }
  const tries = examplesFor(model).map((text) => {
    const use = () => {
      box.value = text;
      apply();
    };
    return element("button", { type: "button", class: "link", onclick: use }, element("code", {}, text));
  });
  const examples = element("p", { class: "faint row" }, word("span", "where.try"), tries);
  const node = element("div", { class: "filter" }, word("label", "where.label", { for: "where" }), box, examples, error, advice);
  return { node, redraw };
}

// The column that a name in a filter stands for, if it is one.
function columnMeant(app, model, name) {
  try {
    return model.columns.get(meaning(name, model.known, app.facts.where.elsewhere).column);
  } catch (error) {
    if (!error.mistake) throw error;
    return undefined;
  }
}

// Filters to begin with, about what varies here.
export function examplesFor(model) {
  const settings = model.known.filter((name) => /^[\w.]+$/.test(name) && name.includes(".") && axisOf(model.columns.get(name)));
  const column = (test) => settings.map((name) => model.columns.get(name)).find(({ values, count }) => count > 1 && test(values[0]));
  const number = column((value) => typeof value === "bigint");
  const text = column((value) => typeof value === "string");
  const found = [
    number && `${number.name} == ${pythonText(number.values[0])}`,
    text && `${text.name} in [${text.values.slice(0, 2).map(literalText).join(", ")}]`,
    model.known.includes("status") && "status == 'done'",
    model.known.includes("seconds") && "seconds * 1000 < 1",
  ];
  return found.filter(Boolean);
}

// A word as a shell takes it.
export function shellWord(text) {
  return /^[\w.,=/:-]+$/.test(text) ? text : `'${text.replaceAll("'", "'\\''")}'`;
}

// The command that lists the same rows, in the same order and columns.
export function commandOf(where, ranges, sort, shown) {
  const parts = [...(where ? [where] : []), ...ranges];
  const both = parts.length > 1 ? parts.map((part) => `(${part})`).join(" and ") : parts.join("");
  const words = ["convpipe", "runs", ".", ...(both ? ["--where", both] : [])];
  if (sort) words.push(`--sort=${sort.down ? "-" : ""}${sort.name}`);
  return { where: both, line: [...words, "--columns", shown.join(",")].map(shellWord).join(" ") };
}

function terminalLine(app, model) {
  const code = element("code");
  const copied = element("details", { class: "choice", ontoggle: redraw }, word("summary", "command.same"), element("p", {}, word("span", "command.where", { class: "faint" }), " ", code));
  function redraw() {
    if (!copied.open) return;
    const ranges = [...model.brushes].map(([name, [low, high]]) => wordsBetween(axisOf(model.columns.get(name)), low, high));
    const { line, where } = commandOf(model.where, ranges, model.sort, model.shown);
    code.textContent = isSameFilter(app, model, where) ? line : app.say("command.none");
  }
  return { node: copied, redraw };
}

// Whether an expression leaves the rows that are left: names may be such that none can say them.
function isSameFilter(app, model, where) {
  if (model.shown.some((name) => name.includes(",") || name !== name.trim())) return false;
  if (!where) return true;
  const { mask } = rowsWhere(where, app.facts.rows, model.known, (name) => model.columns.get(name).value, app.facts.where);
  return Boolean(mask) && mask.reduce((sum, each) => sum + each, 0) === model.rows.length && model.rows.every((row) => mask[row]);
}

// The run that is pointed at, or kept: what it is, and its page or how that is made.
function chosenRun(app, model) {
  const node = element("section", { id: "chosen", tabindex: 0, "data-label": "runs.chosen" });
  function redraw() {
    const row = model.hovered >= 0 ? model.hovered : model.kept;
    if (row < 0) {
      node.replaceChildren(element("p", { class: "faint" }, app.say("runs.point")));
      return;
    }
    const run = model.columns.get("run").text(row);
    const page = model.hasPage[row]
      ? element("a", { href: pageOf(run) }, app.say("runs.page"))
      : element("span", {}, app.say("runs.no_page"), " ", element("code", {}, `convpipe page ${run}`));
    const others = [...model.columns.keys()].filter((name) => !model.shown.includes(name));
    const [seen, rest] = [model.shown, others].map((names) => factList(model, names, row));
    node.replaceChildren(element("p", {}, element("strong", {}, run), " ", page), seen, element("p", { class: "faint" }, app.say("runs.besides")), rest);
  }
  return { node, redraw, mark: redraw };
}

// What a run has in some columns.
function factList(model, names, row) {
  const facts = names
    .filter((name) => name !== "run")
    .map((name) => [model.columns.get(name).text(row), name])
    .filter(([text]) => text)
    .map(([text, name]) => [element("dt", {}, nameWithUnit(name)), element("dd", {}, text)]);
  return element("dl", {}, facts);
}

function columnChoice(app, model, changed) {
  const box = (name) => {
    const input = element("input", {
      type: "checkbox", checked: model.shown.includes(name),
      onchange: () => {
        const wanted = new Set(model.shown);
        if (input.checked) wanted.add(name);
        else wanted.delete(name);
        model.shown = [...model.columns.keys()].filter((each) => wanted.has(each));
        changed();
      },
    });
    const column = model.columns.get(name);
    const same = column.count <= 1 && !column.gaps ? ` = ${column.text(0)}` : "";
    return element("label", {}, input, ` ${name}`, element("span", { class: "faint" }, same));
  };
  const names = [...model.columns.keys()];
  const varies = names.filter((name) => model.columns.get(name).count + Boolean(model.columns.get(name).gaps) > 1);
  const list = (key, some) => some.length ? element("fieldset", {}, word("legend", key), some.map(box)) : null;
  const constant = names.filter((name) => !varies.includes(name));
  return element("details", { class: "choice" }, word("summary", "columns.choose"), list("columns.vary", varies), list("columns.same", constant));
}

// A button that copies the rows that are left, in the columns that are seen; where a browser refuses, a box to copy from.
function copyButton(app, model) {
  const told = element("span", { role: "status", "aria-live": "polite", class: "faint" });
  const area = element("textarea", { id: "csv", readonly: true, hidden: true, rows: 6, "data-label": "csv.box" });
  async function copy() {
    const text = csvOf(model.shown.map((name) => model.columns.get(name)), model.rows);
    const count = countText(model.rows.length);
    try {
      await navigator.clipboard.writeText(text);
      area.hidden = true;
      told.textContent = app.say("csv.copied", { count });
    } catch {
      area.value = text;
      area.hidden = false;
      area.focus();
      area.select();
      told.textContent = app.say("csv.refused");
    }
  }
  return element("div", { class: "copy" }, word("button", "csv.copy", { type: "button", id: "copy", onclick: copy }), " ", told, area);
}
