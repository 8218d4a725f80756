// One picture for each model: a column for every layer, attention up from the middle, the MLP down.
// A picture exists only while it is near the part that is seen, so that a thousand of them cost little.
const PICTURES = byId("pictures");
document.documentElement.style.setProperty("--layers", Math.max(1, COLUMNS));
const NEAR = "600px 0px";

// What is gone or empty has a sign in it, too: colours alone would not tell everybody.
function layerColumn(model, layer, largest) {
  if (layer.index === null) {
    return placed(layer, element("span", { class: "layer unsaid", role: "img", tabindex: "-1", "aria-label": t("missing, which layer is not said") }, sign("?")));
  }
  if (layer.prunedIndex !== null && layer.total.left === null) {
    return placed(layer, element("span", { class: "layer unsaid", role: "img", tabindex: "-1", "aria-label": layerLabel(layer) }, sign("?")));
  }
  const [attention, mlp] = ["attention", "mlp"].map((name) => Math.min(1, shareLeft(layer, name, largest)));
  const removed = layer.prunedIndex === null;
  // What is nothing and never was something has not been taken away.
  const state = (name, found) => {
    const { original, left } = layer[name];
    if (left > 0) return "";
    return original > 0 || (original === null && found.includes(layer.index)) ? "empty" : "never";
  };
  const kind = ["layer", removed && "removed", layer.total.original === null && "alone", model.missing && "vague"].filter(Boolean).join(" ");
  const node = element("span", {
    class: kind, role: "img", tabindex: "-1", "aria-label": layerLabel(layer), "--up": attention, "--down": mlp, "--zeros": layer.zeros ?? 0,
  });
  if (removed) node.append(sign("×"));
  else {
    node.append(half("up", state("attention", [...model.no_attention, ...model.emptied])),
      half("down", state("mlp", [...model.no_mlp, ...model.emptied])));
  }
  return placed(layer, node);
}

// Of a plain transformer the rest is its norms; of Mamba and other mixers it is most of a layer.
const HAS_REST = DRAWN.some((model) => layersOf(model).some((layer) => layer.index !== null
  && 20 * Math.max(layer.rest.original, layer.rest.left) > Math.max(layer.total.original, layer.total.left)));

const sign = (text) => element("i", { class: "sign", "aria-hidden": "true" }, text);
const half = (side, state = "") => element("i", { class: `${side} ${state}`.trim(), "aria-hidden": "true" }, state === "empty" ? sign("0") : null);

function placed(layer, node) {
  node.style.gridColumn = String(layer.column + 1);
  node.layer = layer;
  return node;
}

function layerLabel(layer) {
  return [t("Layer {layer}", { layer: layer.index }), ...layerFacts(layer)].join(", ");
}

const LABELS = {
  removed: t("layer removed"),
  zero: t("nothing left"),
  heavy: t("heavily pruned"),
  moderate: t("moderately pruned"),
  light: t("lightly pruned"),
  unchanged: t("unchanged"),
  unknown: t("counts not known"),
};

// What a reader should know of a layer, in words.
function layerFacts(layer) {
  if (layer.prunedIndex === null) return [t("layer removed")];
  const lost = (name) => layer[name].original > 0 && layer[name].left === 0;
  const facts = [];
  if (layer.total.original !== null && layer.total.left !== null) facts.push(t("{share} % gone", { share: percent(gone(layer.total.original, layer.total.left)) }));
  if (layer.label) facts.push(LABELS[layer.label]);
  if (layer.label !== "zero") facts.push(...[lost("attention") && t("attention removed"), lost("mlp") && t("MLP removed")].filter(Boolean));
  return facts;
}

function layerTip(model, layer) {
  if (layer.index === null) {
    return [element("strong", {}, model.name), element("p", { class: "facts" }, t("{n} {n:layer of the original is|layers of the original are} gone. The files compare layers by position and do not say which {n:it is|they are}.", { n: model.missing }))];
  }
  const known = layer.total.original !== null;
  const row = (name, part) => element("tr", {}, element("th", { scope: "row" }, name),
    ...(known ? [part.original] : []).concat(part.left).map((value) => element("td", { class: "num" }, number(value))),
    known ? element("td", { class: "num" }, part.original === null ? NOTHING : percent(gone(part.original, part.left))) : null);
  const heading = (name) => element("th", { scope: "col", class: "num" }, name);
  const more = [
    !layer.heads ? null : format(layer.kvHeads === null ? t("{heads} {heads:head|heads}") : t("{heads} query {heads:head|heads}, {kv} key-value {kv:head|heads}"), { heads: layer.heads, kv: layer.kvHeads }),
    layer.zeros === null ? null : t("{share} % of what is left are zeros", { share: percent(layer.zeros) }),
    layer.prunedIndex === null || layer.prunedIndex === layer.index ? null : t("layer {layer} of the pruned model", { layer: layer.prunedIndex }),
  ].filter((text) => text !== null);
  return [
    element("strong", {}, `${model.name} · ${t("Layer {layer}", { layer: layer.index })}`),
    element("p", { class: "facts" }, layerFacts(layer).join(" · ")),
    element("table", {},
      element("thead", {}, element("tr", {}, element("td"), known ? heading(t("original")) : null, heading(t("left")), known ? heading(t("gone %")) : null)),
      element("tbody", {}, row(t("parameters"), layer.total), row(t("attention"), layer.attention), row(t("MLP"), layer.mlp),
        HAS_REST ? row(t("mixer, norms and others"), layer.rest) : null,
        layer.size.left === null && layer.size.original === null ? null : row(t("intermediate size"), layer.size))),
    more.length ? element("p", { class: "facts" }, more.join(" · ")) : null,
  ].filter(Boolean);
}

function largestOf(layers) {
  const most = (name) => Math.max(0, ...layers.filter((layer) => layer.index !== null).map((layer) => layer[name].left));
  return { attention: most("attention"), mlp: most("mlp") };
}

function drawLayers(box, model) {
  if (box.childElementCount) return;
  const layers = layersOf(model);
  const largest = largestOf(layers);
  box.append(...layers.map((layer) => layerColumn(model, layer, largest)));
}

// What stands beside a picture: what is gone, with the numbers of the layers.
function modelCaption(model) {
  const lines = [
    [t("removed layers"), removedText(model)],
    [t("emptied layers"), blockList(model.emptied)],
    [t("attention removed"), blockList(model.no_attention)],
    [t("MLP removed"), blockList(model.no_mlp)],
  ].filter(([, text]) => text).map(([name, text]) => element("span", { class: "lost" }, `${name}: ${text}`));
  const sides = ["A", "B"].map((side) => element("button", {
    type: "button", tabindex: "-1", "data-side": side, "aria-pressed": "false",
    "aria-label": t("Show {model} as {side}", { model: model.name, side }),
  }, side));
  const ratio = model.ratio === null ? null : element("b", {}, `${signedPercent(-model.ratio)} %`);
  return element("div", { class: "caption" },
    element("span", { class: "name" }, ...breakableName(model.name)),
    element("span", { class: "facts" }, ratio, model.ratio === null ? "" : " ", [
      model.strategy ? strategyText(model) : null,
      model.layers.base === null ? t("original unknown: bars relative to its own largest layer") : null,
      model.missing ? t("layers compared by position") : null,
    ].filter(Boolean).join(" · ")),
    ...lines,
    element("span", { class: "sides" }, ...sides));
}

const breakableName = (name) => name.split(/(?<=[/_])/).flatMap((part, place) => (place ? [element("wbr"), part] : [part]));

const ROWS = new Map();

function pictureRow(model) {
  if (!ROWS.has(model)) {
    const box = element("div", { class: "columns", role: "group", "aria-label": model.name, "data-index": model.index });
    ROWS.set(model, element("div", { class: "picture", "data-index": model.index }, modelCaption(model), box));
    NEARBY.observe(box);
  }
  return ROWS.get(model);
}

const NEARBY = new IntersectionObserver((entries) => {
  for (const { target, isIntersecting } of entries) {
    if (isIntersecting) drawLayers(target, MODELS[target.dataset.index]);
    else if (!target.contains(document.activeElement)) target.replaceChildren();
  }
  ensureStop(PICTURES);
}, { root: PICTURES, rootMargin: NEAR });

// The numbers of the layers, above all pictures.
function axisRow() {
  const every = COLUMNS > 64 ? 8 : COLUMNS > 12 ? 4 : 1;
  const ticks = [];
  for (let column = 0; column < COLUMNS; column += every) {
    const tick = element("span", {}, String(column));
    tick.style.gridColumn = String(column + 1);
    ticks.push(tick);
  }
  return element("div", { class: "picture axis", "aria-hidden": "true" }, element("div", { class: "caption" }, t("layer")),
    element("div", { class: "columns" }, ...ticks));
}

// Returns how many of the models have layers to draw.
function showPictures(models) {
  const shown = models.filter(isDrawn);
  PICTURES.replaceChildren(axisRow(), ...shown.map(pictureRow));
  ensureStop(PICTURES);
  return shown.length;
}

// One column is always a tab stop, whatever was drawn or taken away.
function ensureStop(container) {
  if (container.querySelector(".layer[tabindex='0']")) return;
  const first = container.querySelector(".layer");
  if (first) first.setAttribute("tabindex", "0");
}

// Left and right within a model; up and down to the same layer of its neighbour.
function useLayers(container) {
  container.addEventListener("keydown", (event) => {
    const node = document.activeElement;
    if (!node.layer || event.ctrlKey || event.metaKey || event.altKey) return;
    const box = node.parentElement;
    const inRow = [...box.children];
    const place = inRow.indexOf(node);
    const beside = (step) => {
      const boxes = [...container.querySelectorAll(".columns:has(> .layer), .columns[data-index]")];
      const other = boxes[boxes.indexOf(box) + step];
      if (!other) return null;
      if (other.dataset.index) drawLayers(other, MODELS[other.dataset.index]);
      return [...other.children].reduce((best, one) => (
        Math.abs(one.layer.column - node.layer.column) < Math.abs(best.layer.column - node.layer.column) ? one : best));
    };
    const to = {
      ArrowRight: () => inRow[place + 1], ArrowLeft: () => inRow[place - 1], Home: () => inRow[0],
      End: () => inRow[inRow.length - 1], ArrowDown: () => beside(1), ArrowUp: () => beside(-1),
    }[event.key];
    const target = to && to();
    if (!target) return;
    event.preventDefault();
    target.focus();
  });
  container.addEventListener("focusin", (event) => {
    if (!event.target.layer) return;
    for (const other of container.querySelectorAll(".layer[tabindex='0']")) other.setAttribute("tabindex", "-1");
    event.target.setAttribute("tabindex", "0");
  });
  const columnOf = (node) => node.closest(".layer");
  tipped(container, (node) => {
    const column = columnOf(node);
    if (!column) return null;
    return column.pair ? differenceTip(column.pair) : layerTip(MODELS[column.parentElement.dataset.index], column.layer);
  }, columnOf);
}

function buildLegend() {
  const sample = (kind, ...children) => element("span", { class: "layer " + kind, "aria-hidden": "true", "--up": 0.7, "--down": 0.7 }, ...children);
  const entry = (name, ...marks) => element("span", {}, ...marks, name);
  byId("layers-legend").append(
    entry(t("attention"), sample("sample", half("up"))),
    entry(t("MLP"), sample("sample", half("down"))),
    entry(t("nothing left of it"), sample("sample", half("up", "empty"))),
    entry(t("layer removed"), sample("sample removed", sign("×"))),
    ...(MODELS.some((one) => one.layers && [one.layers.zeros].flat().some((share) => share > 0))
      ? [entry(t("zeros among what is left"), element("span", { class: "layer sample", "aria-hidden": "true", "--up": 1, "--zeros": 0.5 }, half("up")))] : []),
    ...(MODELS.some((one) => one.missing) ? [entry(t("missing, which layer is not said"), sample("sample unsaid", sign("?")))] : []),
    ...(MODELS.some((one) => one.unknown.length) ? [entry(LABELS.unknown, sample("sample unsaid", sign("?")))] : []));
}
