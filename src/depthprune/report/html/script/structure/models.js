// The models and their layers, as the data tell them.
const at = (column, place) => (Array.isArray(column) ? column[place] : column);
const MODELS = DATA.models.map((one, index) => ({ ...one, index }));
const isDrawn = (model) => model.layers !== null && model.layers.count + model.layers.missing > 0;
const DRAWN = MODELS.filter(isDrawn);
const COLUMNS = DATA.numLayers;

const number = (value) => (value === null || value === undefined ? NOTHING : value.toLocaleString("en-US"));

// A fraction as a percentage; a number that rounds to zero has no sign.
function percent(fraction, decimals = 2) {
  if (fraction === null || fraction === undefined) return NOTHING;
  const text = (100 * fraction).toFixed(decimals);
  return (Number(text) === 0 ? text.replace("-", "") : text).replace("-", "−");
}

function signedPercent(fraction) {
  const text = percent(fraction);
  return fraction > 0 && /[1-9]/.test(text) ? "+" + text : text;
}

// Share that is gone, as `Change.ratio` of `structure/comparison.py`.
function gone(original, left) {
  if (original === null || left === null) return null;
  return original ? (original - left) / original : 0;
}

// A count of a model: a dash where no file tells it, the word where a file says that it is not known.
const told = (model, value, text) => (value === null && model.unknown.length ? t("unknown") : text(value));

// Every layer of a model with what it was and what is left; `original` is null where nothing tells it.
function layersOf(model) {
  const { base, count, missing } = model.layers;
  const from = base === null ? null : DATA.originals[base];
  const layers = [];
  for (let place = 0; place < count; place += 1) {
    const index = model.layers.index ? model.layers.index[place] : place;
    const part = (name) => ({
      original: from ? at(from[name], place) : null,
      left: at(model.layers[name], place),
    });
    const [total, attention, mlp] = ["total", "attention", "mlp"].map(part);
    const rest = (time) => (total[time] === null || attention[time] === null || mlp[time] === null
      ? null : total[time] - attention[time] - mlp[time]);
    layers.push({
      index,
      prunedIndex: model.layers.prunedIndex ? model.layers.prunedIndex[place] : index,
      total, attention, mlp, size: part("size"), rest: { original: rest("original"), left: rest("left") },
      heads: at(model.layers.heads, place), kvHeads: at(model.layers.kvHeads, place),
      zeros: at(model.layers.zeros, place), label: at(model.layers.label, place),
    });
  }
  const last = Math.max(-1, ...layers.map((layer) => layer.index));
  const atIndices = last + 1 + missing <= COLUMNS;
  layers.forEach((layer, place) => { layer.column = atIndices ? layer.index : place; });
  const end = atIndices ? last + 1 : count;
  for (let extra = 0; extra < missing; extra += 1) layers.push({ index: null, column: end + extra });
  return layers;
}

// Share of a part that is left, 0 to 1; without an original, of the largest of this model.
function shareLeft(layer, name, largest) {
  const { original, left } = layer[name];
  if (left === null) return 0;
  if (original === null) return largest[name] ? left / largest[name] : 0;
  return original ? left / original : 0;
}

const removedText = (model) => [
  blockList(model.removed), model.missing ? t("{n}, which ones is not said", { n: model.missing }) : "",
].filter(Boolean).join("; ");
const strategyText = (model) => (model.strategy ? DATA.strategies[model.strategy] : NOTHING);
const headText = (model) => (model.tied ? t("tied") : number(model.head));
const layersText = (model) => (model.of_layers === null || model.of_layers === model.num_layers
  ? told(model, model.num_layers, number) : t("{n} of {total}", { n: model.num_layers, total: model.of_layers }));
