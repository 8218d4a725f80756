// The table of models: sorted by any column, filtered by words. The pictures follow it.
const FIRST_ROWS = 50;
const TABLE_COLUMNS = [
  { key: "name", name: t("model"), number: false, value: (one) => one.name, text: (one) => breakableName(one.name) },
  { key: "params", name: t("parameters"), value: (one) => one.params, text: (one) => told(one, one.params, number) },
  { key: "ratio", name: t("pruning ratio %"), value: (one) => one.ratio, text: (one) => told(one, one.ratio, percent) },
  { key: "numLayers", name: t("layers"), value: (one) => one.num_layers, text: layersText },
  { key: "removed", list: true, name: t("removed layers"), value: (one) => counts(one, one.removed.length + one.missing), text: removedText },
  { key: "emptied", list: true, name: t("emptied layers"), value: (one) => counts(one, one.emptied.length), text: (one) => blockList(one.emptied) },
  { key: "noAttention", list: true, name: t("attention removed"), value: (one) => counts(one, one.no_attention.length), text: (one) => blockList(one.no_attention) },
  { key: "noMlp", list: true, name: t("MLP removed"), value: (one) => counts(one, one.no_mlp.length), text: (one) => blockList(one.no_mlp), needed: MODELS.some((one) => one.no_mlp.length) },
  { key: "strategy", name: t("strategy"), number: false, value: (one) => (one.strategy ? strategyText(one) : null), text: strategyCell },
  { key: "embedding", name: t("embedding"), value: (one) => one.embedding ?? null, text: (one) => number(one.embedding) },
  { key: "head", name: t("head"), value: (one) => one.head ?? null, text: headText },
].filter((column) => column.needed !== false);
const order = { key: "name", ascending: true };
let everyRow = false;

// Where nothing is known of a model, "no layer" would be a claim.
const counts = (model, found) => (model.num_layers === null ? null : found);

function strategyCell(model) {
  if (!model.reason) return strategyText(model);
  return [strategyText(model), element("span", { class: "evidence" }, model.reason)];
}

const byText = new Intl.Collator("en", { numeric: true });

function compareValues(first, second) {
  return typeof first === "string" ? byText.compare(first, second) : first - second;
}

function matching() {
  const words = byId("filter").value.toLowerCase().split(/\s+/).filter(Boolean);
  return MODELS.filter((one) => {
    const text = `${one.name} ${strategyText(one)}`.toLowerCase();
    return words.every((word) => text.includes(word));
  });
}

function tableCell(column, model) {
  const text = column.text(model) || (model.num_layers === null ? NOTHING : "0");
  const kind = [column.number === false ? null : "num", column.list && "list", (text === NOTHING || text === "0") && "nothing"];
  return element("td", { class: kind.filter(Boolean).join(" ") || null }, ...[text].flat());
}

const TABLE_ROWS = new Map();

function tableRow(model) {
  if (!TABLE_ROWS.has(model)) {
    TABLE_ROWS.set(model, element("tr", { "data-index": model.index }, ...TABLE_COLUMNS.map((column) => tableCell(column, model))));
  }
  return TABLE_ROWS.get(model);
}

function showModels() {
  const value = (one, key) => TABLE_COLUMNS.find((column) => column.key === key).value(one);
  const rows = sortedRows(matching(), order, value, compareValues);
  const shown = everyRow ? rows : rows.slice(0, FIRST_ROWS);
  showSorted(byId("model-table"), shown.map(tableRow), order);
  const drawn = showPictures(shown);
  const say = (part, count, total) => {
    document.querySelector(`#${part} .shown`).textContent = rows.length ? t("{shown} of {total} {total:model|models}", { shown: number(count), total: number(total) }) : t("No model matches.");
  };
  say("models", shown.length, MODELS.length);
  say("layers", drawn, DRAWN.length);
  for (const button of document.querySelectorAll(".more")) button.hidden = shown.length === rows.length;
}

function buildModelTable() {
  sortableTable(byId("model-table"), TABLE_COLUMNS, order, showModels);
  byId("filter").addEventListener("input", showModels);
  for (const button of document.querySelectorAll(".more")) {
    button.addEventListener("click", () => {
      everyRow = true;
      showModels();
    });
  }
  showModels();
}
