// Two models, one above the other, and what the second has left beyond the first.
const SIDES = { A: byId("first"), B: byId("second") };

const chosen = (side) => MODELS[SIDES[side].value];

// Files that compare by position do not say which layer of the original a column is.
const attributed = (model) => model.layers.base !== null && !model.missing;

// What is left of each layer that both have, by its index in the original.
function commonLayers(first, second) {
  if (!attributed(first) || !attributed(second)) return [];
  const others = new Map(layersOf(second).map((layer) => [layer.index, layer]));
  return layersOf(first).filter((layer) => others.has(layer.index)).map((layer) => ({ layer, other: others.get(layer.index) }));
}

const left = (layer, name) => shareLeft(layer, name, {});

function pairRow(side, model) {
  const box = element("div", { class: "columns", role: "group", "aria-label": model.name, "data-index": model.index });
  drawLayers(box, model);
  return element("div", { class: "picture" },
    element("div", { class: "caption" }, element("b", { class: "side" }, side), " ",
      element("span", { class: "name" }, ...breakableName(model.name))),
    box);
}

// What a full bar of the differences may mean.
const SCALES = [0.02, 0.05, 0.1, 0.2, 0.5, 1];

function differenceRow(pairs) {
  const most = Math.max(...pairs.map(({ layer, other }) => Math.abs(left(other, "total") - left(layer, "total"))));
  const scale = SCALES.find((size) => size >= most) || most;
  const columns = pairs.map(({ layer, other }) => {
    const difference = left(other, "total") - left(layer, "total");
    const text = t("{drop} points", { drop: signedPercent(difference) });
    const node = element("span", {
      class: difference < 0 ? "layer change less" : "layer change", role: "img", tabindex: "-1",
      "aria-label": `${t("Layer {layer}", { layer: layer.index })}, ${t("B − A")}: ${text}`,
      "--share": Math.abs(difference) / scale,
    }, element("i", { "aria-hidden": "true" }));
    node.pair = { layer, other, text };
    return placed(layer, node);
  });
  return element("div", { class: "picture difference" },
    element("div", { class: "caption" }, element("b", { class: "side" }, t("B − A")), " ",
      element("span", { class: "facts" }, t("full bar: {n} {n:point|points}", { n: percent(scale, 0) }))),
    element("div", { class: "columns" }, ...columns));
}

const PAIR_PARTS = [[t("parameters"), "total"], [t("attention"), "attention"], [t("MLP"), "mlp"],
  ...(HAS_REST ? [[t("mixer, norms and others"), "rest"]] : [])];

function differenceTip({ layer, other, text }) {
  const cell = (value) => element("td", { class: "num" }, value);
  const heading = (name) => element("th", { scope: "col", class: "num" }, name);
  return [
    element("strong", {}, `${t("Layer {layer}", { layer: layer.index })} · ${t("B − A")}: ${text}`),
    element("table", {},
      element("thead", {}, element("tr", {}, element("td"), heading(`A, ${t("left %")}`), heading(`B, ${t("left %")}`), heading(t("B − A")))),
      element("tbody", {}, ...PAIR_PARTS.map(([name, part]) => element("tr", {}, element("th", { scope: "row" }, name),
        cell(percent(left(layer, part))), cell(percent(left(other, part))), cell(signedPercent(left(other, part) - left(layer, part))))))),
  ];
}

function factsTable(headings, models) {
  const rows = [
    [t("parameters"), (one) => number(one.params)],
    [t("pruning ratio %"), (one) => percent(one.ratio)],
    [t("layers"), layersText],
    [t("removed layers"), removedText],
    [t("emptied layers"), (one) => blockList(one.emptied)],
    [t("attention removed"), (one) => blockList(one.no_attention)],
    [t("MLP removed"), (one) => blockList(one.no_mlp)],
    [t("strategy"), (one) => [strategyText(one), one.reason].filter(Boolean).join(": ")],
    [t("zeros"), (one) => (one.zeros ? `${percent(one.zeros[0])} %${one.zeros[1] ? `, ${one.zeros[1]}` : ""}` : "")],
    [t("layers found by"), (one) => (one.alignedBy ? DATA.alignments[one.alignedBy] : "")],
    [t("embedding"), (one) => number(one.embedding)],
    [t("head"), headText],
    ...[...new Set(models.flatMap((one) => (one.towers || []).map(([name]) => name)))]
      .map((tower) => [tower, (one) => number(new Map(one.towers || []).get(tower))]),
    [t("bytes"), (one) => (one.bytes ? number(one.bytes) : "")],
    [t("number types"), (one) => (one.dtypes || []).join(", ")],
    [t("notes"), (one) => (one.notes || []).join(" ")],
  ].map(([name, text]) => [name, ...models.map((one) => text(one) || NOTHING)])
    .filter(([, ...texts]) => texts.some((text) => text !== NOTHING));
  return sidesTable(headings, rows);
}

function evidenceTable(headings, models) {
  const found = models.map((one) => new Map(one.evidence || []));
  const names = [...new Set(found.flatMap((one) => [...one.keys()]))];
  return sidesTable(headings, names.map((name) => [name, ...found.map((one) => one.get(name) ?? NOTHING)]));
}

function sidesTable(headings, rows) {
  return element("table", {},
    element("thead", {}, element("tr", {}, element("td"), ...headings.map((name) => element("th", { scope: "col" }, name)))),
    element("tbody", {}, ...rows.map(([name, ...texts]) => element("tr", {}, element("th", { scope: "row" }, name),
      ...texts.map((text) => element("td", {}, text))))));
}

function numbersTable(columns, rows) {
  return element("table", {},
    element("thead", {}, element("tr", {}, ...columns.map(([name]) => element("th", { scope: "col", class: "num" }, name)))),
    element("tbody", {}, ...rows.map((row) => element("tr", {}, ...columns.map(([, text]) => element("td", { class: "num" }, text(row)))))));
}

const pairColumns = [
  [t("layer"), ({ layer }) => number(layer.index)],
  ...PAIR_PARTS.flatMap(([name, part]) => [
    [`${name} A`, ({ layer }) => number(layer[part].left)],
    [`${name} B`, ({ other }) => number(other[part].left)],
  ]),
  [`${t("B − A")} (%)`, ({ layer, other }) => signedPercent(left(other, "total") - left(layer, "total"))],
];

const ownColumns = [
  [t("layer"), (layer) => number(layer.index)],
  ...[...PAIR_PARTS, [t("intermediate size"), "size"]].flatMap(([name, part]) => [
    [`${name}, ${t("original")}`, (layer) => number(layer[part].original)],
    [t("left"), (layer) => number(layer[part].left)],
    [t("gone %"), (layer) => (layer[part].original === null ? NOTHING : percent(gone(layer[part].original, layer[part].left)))],
  ]),
];

// What is known of one model or two, below their pictures.
function showNumbers(headings, models, columns, rows) {
  const show = (id, table, known) => {
    byId(id).replaceChildren(table);
    byId(id).closest("details").hidden = !known;
  };
  byId("pair-facts").replaceChildren(factsTable(headings, models));
  show("pair-evidence", evidenceTable(headings, models), models.some((one) => one.evidence));
  show("pair-rows", numbersTable(columns, rows), rows.length > 0);
}

function showOne(model) {
  byId("compare").querySelector("h2").textContent = t("The model in numbers");
  for (const node of byId("compare").querySelectorAll(".help, .controls, #pair")) node.hidden = true;
  PICTURES.classList.add("single");
  showNumbers([model.name], [model], ownColumns, layersOf(model).filter((layer) => layer.index !== null));
}

function showPair() {
  const [first, second] = [chosen("A"), chosen("B")];
  const pairs = commonLayers(first, second);
  byId("pair").replaceChildren(axisRow(), pairRow("A", first), pairRow("B", second), ...(pairs.length ? [differenceRow(pairs)] : []));
  ensureStop(byId("pair"));
  byId("pair-note").textContent = pairs.length === 0 ? t("No difference: the files of one of them do not say which layers of the original its layers are.")
    : first.layers.base === second.layers.base ? "" : t("They were not made of the same original: compare the shares, not the counts.");
  showNumbers(Object.keys(SIDES), [first, second], pairColumns, pairs);
  showSides();
}

// Which pictures are the two of the comparison.
function showSides() {
  for (const button of PICTURES.querySelectorAll("[data-side]")) {
    const model = button.closest(".picture").dataset.index;
    button.setAttribute("aria-pressed", String(SIDES[button.dataset.side].value === model));
  }
}

function buildCompare() {
  if (DRAWN.length < 2) {
    byId("compare").hidden = DRAWN.length === 0;
    if (DRAWN.length) showOne(DRAWN[0]);
    return;
  }
  for (const select of Object.values(SIDES)) {
    select.append(...DRAWN.map((one) => element("option", { value: one.index }, one.name)));
    select.addEventListener("change", showPair);
  }
  // Two that can be told apart layer by layer, where there are such.
  const [first, second] = [...DRAWN.filter(attributed), ...DRAWN.filter((one) => !attributed(one))];
  SIDES.A.value = String(first.index);
  SIDES.B.value = String(second.index);
  PICTURES.addEventListener("click", (event) => {
    const button = event.target.closest("[data-side]");
    if (!button) return;
    SIDES[button.dataset.side].value = button.closest(".picture").dataset.index;
    showPair();
  });
  showPair();
}
