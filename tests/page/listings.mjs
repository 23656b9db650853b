// Reads tables and questions about them from standard input, and writes what the page's modules make of them: for test_page_collection.py.
import { readFileSync } from "node:fs";
import { columnFrom, csvOf, sortedRows } from "../../convpipe/report/page/columns.mjs";
import { pythonText } from "../../convpipe/report/page/python.mjs";
import { rowsWhere } from "../../convpipe/report/page/where.mjs";

const { tables, language, texts } = JSON.parse(readFileSync(0, "utf8"));

function answer(table, columns, { where, sort, shown }) {
  const known = [...columns.keys()].filter((name) => table.known.includes(name));
  const found = rowsWhere(where, table.rows, known, (name) => columns.get(name).value, language);
  if (found.error) return { error: found.error };
  const order = sortedRows(columns.get(sort.replace(/^-/, "")), sort.startsWith("-"));
  const rows = order.filter((row) => found.mask[row]);
  return { csv: csvOf(shown.map((name) => columns.get(name)), rows) };
}

function answersOf(table) {
  const columns = new Map(
    table.columns.map(({ facts, places, hex }) => {
      const column = columnFrom(facts, table.rows, places, hex, texts.includes(facts.name));
      return [facts.name, column];
    }),
  );
  const values = [...columns].map(([name, column]) => [name, column.values.slice(0, -1).map((value) => pythonText(value, true))]);
  return { values: Object.fromEntries(values), answers: table.questions.map((question) => answer(table, columns, question)) };
}

process.stdout.write(JSON.stringify(tables.map(answersOf)));
