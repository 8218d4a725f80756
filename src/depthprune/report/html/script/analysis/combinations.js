// The measured combinations, and how they are written.
const MILLION = 1e6;
const COLUMNS = ["removal", "mean", "std", "low", "high", "coverage", "samples", "adjusted", "accuracy", "ranked", "drops"];
const COMBINATIONS = DATA.combinations.map((row, index) => {
  const one = { index };
  COLUMNS.forEach((name, place) => { one[name] = row[place]; });
  return one;
});
const BY_REMOVAL = new Map(COMBINATIONS.map((one) => [one.removal.join(","), one]));
const DATASETS = DATA.datasets.map(([name, type, baseline]) => ({ name, type, baseline }));

// Millionths as percentage points; a number that rounds to zero has no sign.
function points(millionths, decimals = 2) {
  if (millionths === null || millionths === undefined) return NOTHING;
  const text = (millionths / (MILLION / 100)).toFixed(decimals);
  return (Number(text) === 0 ? text.replace("-", "") : text).replace("-", "−");
}

function signed(millionths) {
  const text = points(millionths);
  return millionths > 0 && /[1-9]/.test(text) ? "+" + text : text;
}

// Mean accuracy of the unpruned model; null where no dataset states it.
function meanBaseline() {
  const known = DATASETS.map((dataset) => dataset.baseline).filter((baseline) => baseline !== null);
  return known.length ? known.reduce((sum, baseline) => sum + baseline, 0) / known.length : null;
}

function intervalText(one) {
  return one.low === null ? NOTHING : `[${points(one.low)}, ${points(one.high)}]`;
}

function sureness(one) {
  if (one.low !== null) return t("95% interval {spread}", { spread: intervalText(one) });
  return one.std === null ? null : t("{spread} std", { spread: "± " + points(one.std) });
}

function facts(one) {
  return [
    sureness(one),
    t("{coverage} of {total} {total:dataset|datasets}", { coverage: one.coverage, total: DATASETS.length }),
    one.samples ? "n\u00a0=\u00a0" + counted(one.samples) : null,
    one.accuracy === null ? null : t("mean accuracy {accuracy} %", { accuracy: points(one.accuracy) }),
    one.ranked ? null : t("not ranked"),
  ].filter(Boolean).join(" · ");
}

// Bars to the right cost accuracy, bars to the left gain some; all share one scale.
function datasetBars(one, most = Infinity) {
  const rows = DATASETS.map((dataset, place) => ({ name: dataset.name, drop: one.drops[place] }));
  const measured = rows.filter((row) => row.drop !== null).sort((a, b) => b.drop - a.drop);
  const scale = Math.max(1, ...measured.map((row) => Math.abs(row.drop)));
  const list = element("ul", { class: "bars" });
  for (const row of measured.slice(0, most)) {
    const bar = element("span", { class: row.drop < 0 ? "track gain" : "track", "aria-hidden": "true" },
      element("b", { "--share": (100 * Math.abs(row.drop)) / scale }));
    list.append(element("li", {}, element("span", {}, ...breakable(row.name)), bar,
      element("span", { class: "value" }, points(row.drop))));
  }
  if (measured.length > most) {
    list.append(element("li", {}, element("span", {}, t("and {n} more", { n: measured.length - most }))));
  }
  return list;
}

// What the tip of a combination shows.
const LINES_IN_TIP = 12;

function combinationTip(one) {
  return one && [
    element("strong", {}, blockList(one.removal) + ": " + t("{drop} points", { drop: points(one.mean) })),
    element("p", { class: "facts" }, facts(one)),
    datasetBars(one, LINES_IN_TIP),
  ];
}
