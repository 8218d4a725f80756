// What every part needs: the data, elements, and numbers as text. Untrusted names only ever become
// text nodes, never markup.
const DATA = JSON.parse(document.getElementById("data").textContent);
const WORDS = DATA.words;
const MILLION = 1e6;
const NOTHING = "–";
const COLUMNS = ["removal", "mean", "std", "low", "high", "coverage", "samples", "adjusted", "accuracy", "ranked", "drops"];
const COMBINATIONS = DATA.combinations.map((row, index) => {
  const one = { index };
  COLUMNS.forEach((name, place) => { one[name] = row[place]; });
  return one;
});
const BY_REMOVAL = new Map(COMBINATIONS.map((one) => [one.removal.join(","), one]));
const DATASETS = DATA.datasets.map(([name, type, baseline]) => ({ name, type, baseline }));

const byId = (id) => document.getElementById(id);

// Text children only: there is no way to hand markup to this function.
function element(name, attributes = {}, ...children) {
  return filled(document.createElement(name), attributes, children);
}

function drawn(name, attributes = {}, ...children) {
  return filled(document.createElementNS("http://www.w3.org/2000/svg", name), attributes, children);
}

function filled(node, attributes, children) {
  for (const [key, value] of Object.entries(attributes)) {
    if (key === "share") node.style.setProperty("--share", value);
    else if (value !== null && value !== false) node.setAttribute(key, value);
  }
  node.append(...children.filter((child) => child !== null));
  return node;
}

function format(text, values) {
  return text.replace(/\{(\w+)\}/g, (whole, name) => (name in values ? String(values[name]) : whole));
}

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

// In a long list runs stand as 3–7.
function blockList(blocks) {
  if (blocks.length <= 8) return blocks.join(", ");
  const runs = [];
  for (const block of blocks) {
    const last = runs[runs.length - 1];
    if (last && block === last[last.length - 1] + 1) last.push(block);
    else runs.push([block]);
  }
  return runs.map((run) => (run.length > 2 ? run[0] + "–" + run[run.length - 1] : run.join(", "))).join(", ");
}

const counted = (number) => (number ? number.toLocaleString("en-US") : NOTHING);

// One star for each full quarter of the datasets.
function stars(coverage) {
  const full = Math.floor((4 * coverage) / DATASETS.length);
  return "★".repeat(full) + "☆".repeat(4 - full);
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
  if (one.low !== null) return format(WORDS.withInterval, { spread: intervalText(one) });
  return one.std === null ? null : format(WORDS.withStd, { spread: "± " + points(one.std) });
}

function facts(one) {
  return [
    sureness(one),
    stars(one.coverage) + " " + format(WORDS.of, { coverage: one.coverage, total: DATASETS.length }),
    one.samples ? "n\u00a0=\u00a0" + counted(one.samples) : null,
    one.accuracy === null ? null : format(WORDS.baselineFor, { accuracy: points(one.accuracy) }),
    one.ranked ? null : WORDS.notRanked,
  ].filter(Boolean).join(" · ");
}

// Names may break after each underscore.
function breakable(name) {
  return name.split(/(?<=_)/).flatMap((part, place) => (place ? [element("wbr"), part] : [part]));
}

// Bars to the right cost accuracy, bars to the left gain some; all share one scale.
function datasetBars(one, most = Infinity) {
  const rows = DATASETS.map((dataset, place) => ({ name: dataset.name, drop: one.drops[place] }));
  const measured = rows.filter((row) => row.drop !== null).sort((a, b) => b.drop - a.drop);
  const scale = Math.max(1, ...measured.map((row) => Math.abs(row.drop)));
  const list = element("ul", { class: "bars" });
  for (const row of measured.slice(0, most)) {
    const bar = element("span", { class: row.drop < 0 ? "track gain" : "track", "aria-hidden": "true" },
      element("b", { share: (100 * Math.abs(row.drop)) / scale }));
    list.append(element("li", {}, element("span", {}, ...breakable(row.name)), bar,
      element("span", { class: "value" }, points(row.drop))));
  }
  if (measured.length > most) {
    list.append(element("li", {}, element("span", {}, format(WORDS.more, { n: measured.length - most }))));
  }
  return list;
}

// Arrow keys move within a group of which one member at a time is a tab stop.
function rove(container, members, step) {
  container.addEventListener("keydown", (event) => {
    const all = members();
    const at = all.indexOf(document.activeElement);
    if (at < 0 || event.ctrlKey || event.metaKey || event.altKey) return;
    const to = step(event.key, at, all);
    if (to === null || !all[to]) return;
    event.preventDefault();
    all[to].focus();
  });
  container.addEventListener("focusin", (event) => {
    if (event.target.getAttribute("tabindex") !== "-1") return;
    for (const other of container.querySelectorAll("[tabindex='0']")) other.setAttribute("tabindex", "-1");
    event.target.setAttribute("tabindex", "0");
  });
}
