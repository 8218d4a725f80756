// The table of combinations: sorted by any column, filtered by number removed.
const FIRST_ROWS = 50;
const TABLE_COLUMNS = [
  { key: "removal", name: t("blocks"), number: false, text: (one) => blockList(one.removal) },
  { key: "number", name: t("removed"), text: (one) => String(one.removal.length) },
  { key: "mean", name: t("drop (points)"), text: (one) => points(one.mean) },
  { key: "std", name: t("std (points)"), text: (one) => points(one.std) },
  { key: "low", name: t("95% interval (points)"), text: intervalText, needed: COMBINATIONS.some((one) => one.low !== null) },
  { key: "coverage", name: t("datasets"), text: (one) => `${one.coverage}/${DATASETS.length}` },
  { key: "samples", name: "n", text: (one) => counted(one.samples) },
  { key: "adjusted", name: t("adjusted drop (points)"), text: (one) => points(one.adjusted) },
  { key: "accuracy", name: t("accuracy %"), text: (one) => points(one.accuracy) },
].filter((column) => column.needed !== false);
const order = { key: "mean", ascending: true };
let everyRow = false;

const keyOf = (one, key) => (key === "number" ? one.removal.length : key === "samples" ? one.samples || null : one[key]);

function compare(first, second, key) {
  if (key !== "removal") return first - second;
  for (let place = 0; place < Math.min(first.length, second.length); place += 1) {
    if (first[place] !== second[place]) return first[place] - second[place];
  }
  return first.length - second.length;
}

function showTable() {
  const number = byId("number").value;
  const chosen = COMBINATIONS.filter((one) =>
    (!number || one.removal.length === Number(number)) && (one.ranked || byId("unranked").checked));
  const rows = sortedRows(chosen, order, keyOf, compare);
  const shown = everyRow ? rows : rows.slice(0, FIRST_ROWS);
  showSorted(byId("combination-table"), shown.map(tableRow), order);
  byId("shown").textContent = t("{shown} of {total} {total:combination|combinations}", { shown: counted(shown.length) === NOTHING ? 0 : counted(shown.length), total: counted(DATA.total) });
  byId("more").hidden = shown.length === rows.length;
}

function tableRow(one) {
  const cells = TABLE_COLUMNS.map((column, place) => {
    if (place > 0) return element("td", { class: "num" }, column.text(one));
    const button = element("button", { type: "button", class: "link", "aria-describedby": "tip" }, column.text(one));
    return element("td", {}, button);
  });
  return element("tr", { class: one.ranked ? null : "unranked", "data-index": one.index }, ...cells);
}

function buildTable() {
  const box = byId("combination-table");
  sortableTable(box, TABLE_COLUMNS, order, showTable);
  for (const number of Object.keys(DATA.totals)) byId("number").append(element("option", { value: number }, number));
  byId("number").addEventListener("change", showTable);
  byId("unranked").addEventListener("change", showTable);
  byId("more").addEventListener("click", () => {
    everyRow = true;
    showTable();
  });
  const row = (node) => node.closest("tbody tr");
  const find = (node) => (row(node) ? COMBINATIONS[row(node).dataset.index] : null);
  tipped(box, (node) => combinationTip(find(node)), (node) => row(node).firstChild.firstChild);
  box.addEventListener("click", (event) => {
    if (event.target.closest("tbody button")) tryRemoval(find(event.target).removal);
  });
  if (COMBINATIONS.length < DATA.total) {
    byId("truncated").textContent = t("{total} {total:combination was|combinations were} measured; this page holds {held}: the best of each number.", { total: counted(DATA.total), held: counted(COMBINATIONS.length) });
  }
  // Where nothing is ranked, an empty table would say nothing.
  byId("unranked").checked = !COMBINATIONS.some((one) => one.ranked);
  showTable();
}
