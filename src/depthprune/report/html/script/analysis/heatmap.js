// Single drops, block by dataset: colour centred at zero, the number in the cell.
function buildHeatmap() {
  const drops = DATA.order.map((column) => DATA.singleDrops[column]);
  const scale = scaleOf(drops.flat().filter((drop) => drop !== null));
  const blocks = [...Array(DATA.numBlocks).keys()];
  const head = element("tr", {}, element("th", { scope: "col" }, t("block")),
    ...blocks.map((block) => element("th", { scope: "col" }, String(block))));
  const rows = drops.map((row, place) => heatRow(DATASETS[DATA.order[place]].name, row, scale));
  const mean = heatRow(t("mean"), DATA.estimator.singles, scale);
  mean.classList.add("mean");
  const table = element("table", { role: "grid", "aria-label": document.querySelector("#heatmap h2").textContent },
    element("thead", {}, head), element("tbody", {}, mean, ...rows));
  byId("heat").append(table);
  const cells = [...table.querySelectorAll("td")];
  if (cells.length) cells[0].setAttribute("tabindex", "0");
  rove(table, () => cells, (key, at) => {
    const row = Math.floor(at / DATA.numBlocks);
    const column = at % DATA.numBlocks;
    const inRow = (to) => (to >= 0 && to < DATA.numBlocks ? row * DATA.numBlocks + to : null);
    if (key === "ArrowRight") return inRow(column + 1);
    if (key === "ArrowLeft") return inRow(column - 1);
    if (key === "Home") return inRow(0);
    if (key === "End") return inRow(DATA.numBlocks - 1);
    if (key === "ArrowDown") return at + DATA.numBlocks;
    return key === "ArrowUp" ? at - DATA.numBlocks : null;
  });
  const say = (event) => {
    const cell = event.target.closest("td");
    if (cell) byId("cell").textContent = cell.dataset.text;
  };
  table.addEventListener("pointerover", say);
  table.addEventListener("focusin", say);
  const end = points(scale, 0);
  byId("scale").append(
    element("span", {}, t("{n} or less", { n: "−" + end })), element("span", { class: "ramp", "aria-hidden": "true" }),
    element("span", {}, t("{n} or more", { n: end })),
    element("span", { class: "swatch none", "aria-hidden": "true" }), element("span", {}, t("not measured")));
}

function heatRow(name, row, scale) {
  return element("tr", {}, element("th", { scope: "row", title: name }, ...breakable(name)), ...row.map((drop, block) => {
    const text = drop === null ? t("not measured") : t("{drop} points", { drop: points(drop) });
    return element("td", {
      class: drop === null ? "none" : drop < 0 ? "gain" : null,
      "--share": drop === null ? 0 : Math.min(100, (100 * Math.abs(drop)) / scale).toFixed(1),
      tabindex: "-1",
      "data-text": t("Block {block} on {dataset}: {drop}", { block, dataset: name, drop: text }),
      "aria-label": drop === null ? t("not measured") : null,
    }, drop === null ? "" : points(drop, 1));
  }));
}
