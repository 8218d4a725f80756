// The strip of blocks: what was measured if it was, else the estimate of `analysis/what_if.py`.
const STRIP = byId("strip");
const RESULT = byId("result");
const REMOVED = new Set();
const KINDS = { measured: t("measured"), estimate: t("estimate"), unknown: t("unknown") };
const PAIRS = new Map(DATA.estimator.pairs.map(([first, second, synergy]) => [first + "," + second, synergy]));

// Sum of single drops plus known pairwise synergies, in millionths; null where a block was never
// measured alone.
function estimated(removal) {
  const { singles, errors } = DATA.estimator;
  if (removal.some((block) => singles[block] === null)) return null;
  const alone = removal.reduce((sum, block) => sum + singles[block], 0);
  let synergy = 0;
  let known = 0;
  removal.forEach((first, place) => {
    for (const second of removal.slice(place + 1)) {
      const found = PAIRS.get(first + "," + second);
      if (found === undefined) continue;
      synergy += found;
      known += 1;
    }
  });
  const error = errors[removal.length];
  return {
    drop: alone + synergy, alone, synergy, known,
    pairs: (removal.length * (removal.length - 1)) / 2,
    error: error ? { spread: error[0], count: error[1] } : null,
  };
}

function removalNow() {
  return [...REMOVED].sort((a, b) => a - b);
}

function buildStrip() {
  const singles = DATA.estimator.singles;
  const scale = scaleOf(singles.filter((drop) => drop !== null));
  STRIP.classList.toggle("many", DATA.numBlocks > 32);
  for (let block = 0; block < DATA.numBlocks; block += 1) {
    const drop = singles[block];
    const share = drop === null ? 0 : Math.min(100, (100 * Math.abs(drop)) / scale);
    const label = t("Block {block}", { block }) + ", " + t("alone") + ": " +
      (drop === null ? t("not measured") : t("{drop} points", { drop: points(drop) }));
    const button = element("button",
      { type: "button", class: "block", "aria-pressed": "false", "aria-label": label, title: label,
        tabindex: block === 0 ? "0" : "-1", "data-block": block },
      String(block), element("i", { class: drop < 0 ? "gain" : null }, element("b", { "--share": share })));
    STRIP.append(button);
  }
  STRIP.addEventListener("click", (event) => {
    const button = event.target.closest("button");
    if (!button) return;
    const block = Number(button.dataset.block);
    if (!REMOVED.delete(block)) REMOVED.add(block);
    showRemoval();
  });
  rove(STRIP, () => [...STRIP.children], (key, at, all) => {
    const columns = all.filter((one) => one.offsetTop === all[0].offsetTop).length;
    const to = { ArrowRight: at + 1, ArrowLeft: at - 1, ArrowDown: at + columns, ArrowUp: at - columns, Home: 0, End: all.length - 1 }[key];
    return to === undefined ? null : to;
  });
  byId("clear").addEventListener("click", () => setRemoval([]));
  for (const button of document.querySelectorAll("[data-removal]")) {
    button.addEventListener("click", () => tryRemoval(button.dataset.removal.split(",").map(Number)));
  }
}

function setRemoval(removal) {
  REMOVED.clear();
  removal.forEach((block) => REMOVED.add(block));
  showRemoval();
}

// From elsewhere on the page: show it and go there.
function tryRemoval(removal) {
  hideTip();
  setRemoval(removal);
  const calm = window.matchMedia("(prefers-reduced-motion: reduce)").matches;
  byId("what-if").scrollIntoView({ behavior: calm ? "auto" : "smooth", block: "start" });
  RESULT.focus({ preventScroll: true });
}

function showRemoval() {
  for (const button of STRIP.children) {
    button.setAttribute("aria-pressed", String(REMOVED.has(Number(button.dataset.block))));
  }
  const removal = removalNow();
  const one = BY_REMOVAL.get(removal.join(","));
  let parts;
  let kind = "none";
  let drop = null;
  let error = null;
  if (removal.length === 0) parts = [element("p", {}, t("Nothing is removed: the unpruned model, drop 0."))];
  else if (removal.length === DATA.numBlocks) parts = [element("p", {}, t("Removing every block leaves no model."))];
  else if (one) {
    kind = "measured";
    drop = one.mean;
    parts = measuredParts(one);
  } else {
    const found = estimated(removal);
    kind = found ? "estimate" : "unknown";
    drop = found ? found.drop : null;
    error = found && found.error ? found.error.spread : null;
    parts = estimateParts(removal, found);
  }
  Object.assign(RESULT.dataset, { kind, drop: drop ?? "", error: error ?? "" });
  const must = DATA.essential.filter((block) => REMOVED.has(block))
    .map((block) => element("p", { class: "must" }, t("Block {block} must stay.", { block })));
  RESULT.replaceChildren(...parts, ...must);
}

function verdict(kind, drop, removal) {
  return element("p", { class: "verdict" },
    element("strong", {}, t("{drop} points", { drop })),
    element("span", { class: "badge " + kind }, KINDS[kind]),
    element("span", { class: "scope" }, t("removed: {blocks}", { blocks: blockList(removal) })));
}

function measuredParts(one) {
  return [
    verdict("measured", points(one.mean), one.removal),
    element("p", { class: "facts" }, facts(one)),
    element("h3", {}, t("Drop on each dataset")),
    datasetBars(one),
  ];
}

function estimateParts(removal, found) {
  if (!found) {
    const missing = removal.filter((block) => DATA.estimator.singles[block] === null).join(", ");
    return [
      verdict("estimate", NOTHING, removal),
      element("p", {}, t("No estimate: not measured alone: {blocks}.", { blocks: missing })),
    ];
  }
  const number = removal.length;
  const sure = found.error
    ? t("± {error} points, from {count} measured {count:combination|combinations} of {number} {number:block|blocks}", { error: points(found.error.spread), count: counted(found.error.count), number })
    : t("how far off is unknown: no combination of {number} {number:block|blocks} was measured that tells", { number });
  const accuracy = meanBaseline();
  const held = COMBINATIONS.filter((one) => one.removal.length === number).length;
  const total = DATA.totals[number] || 0;
  const row = (name, value) => element("tr", {}, element("td", {}, name), element("td", { class: "num" }, value));
  return [
    verdict("estimate", points(found.drop), removal),
    element("p", { class: "facts" }, sure),
    accuracy !== null && found.drop > accuracy ? element("p", {}, t("More than the whole accuracy of the unpruned model: expect nothing to be left.")) : null,
    held < total ? element("p", { class: "note" }, t("This page holds the best {shown} of {total} {total:combination|combinations} of {number} {number:block|blocks}; this one is not among them, if it was measured.", { shown: counted(held), total: counted(total), number })) : null,
    element("h3", {}, t("What the estimate is made of")),
    element("table", { class: "makeup" }, element("tbody", {},
      ...removal.map((block) => row(t("Block {block}", { block }), points(DATA.estimator.singles[block]))),
      row(t("Sum of single drops"), points(found.alone)),
      row(t("Known pairwise synergies ({known} of {pairs} {pairs:pair|pairs})", { known: found.known, pairs: found.pairs }), signed(found.synergy)),
      row(t("Estimated drop"), points(found.drop)))),
  ].filter(Boolean);
}

// Ten times as much as the usual block would flatten all others: the scale ends where nine of ten
// drops do.
function scaleOf(drops) {
  const sizes = drops.map(Math.abs).sort((a, b) => a - b);
  const end = sizes.length ? sizes[Math.min(sizes.length - 1, Math.floor(0.9 * sizes.length))] : 0;
  const step = end > 0.1 * MILLION ? 0.05 * MILLION : 0.01 * MILLION;
  return Math.max(step, Math.ceil(end / step) * step);
}
