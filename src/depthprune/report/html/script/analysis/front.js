// Cost against blocks removed: every combination a dot, the best of each number a line.
const PLOT = byId("front-plot");
let axis = "drop";

function valueOf(one) {
  return axis === "drop" ? one.mean : one.accuracy;
}

function whiskerOf(one) {
  if (one.low !== null) {
    return axis === "drop" ? [one.low, one.high] : [one.accuracy + one.mean - one.high, one.accuracy + one.mean - one.low];
  }
  // The std is that of the drops; it says nothing about accuracies.
  if (one.std === null || axis === "accuracy") return null;
  return [one.mean - one.std, one.mean + one.std];
}

// Round steps of which about `wanted` fit between the ends.
function ticks(low, high, wanted) {
  const raw = (high - low) / wanted;
  const power = 10 ** Math.floor(Math.log10(raw));
  const step = [1, 2, 5, 10].map((factor) => factor * power).find((size) => size >= raw);
  const found = [];
  for (let at = Math.ceil(low / step) * step; at <= high + step * 1e-9; at += step) found.push(Math.round(at));
  return found;
}

function limits(dots, lines, unpruned) {
  const values = dots.map(valueOf).sort((a, b) => a - b);
  const ends = lines.flat().flatMap((one) => [valueOf(one), ...(whiskerOf(one) || [])]);
  if (unpruned !== null) ends.push(unpruned);
  const at = (share) => values[Math.floor(share * (values.length - 1))];
  // Single blocks that ruin the model would flatten the rest; they are counted at the edge.
  let [low, high] = axis === "drop" ? [values[0], at(0.92)] : [at(0.08), values[values.length - 1]];
  low = Math.min(low, ...ends);
  high = Math.max(high, ...ends);
  const room = Math.max((high - low) * 0.06, 0.002 * MILLION);
  return [low - room, high + room];
}

function drawFront() {
  const dots = COMBINATIONS.filter((one) => valueOf(one) !== null);
  if (!dots.length) {
    PLOT.replaceChildren(element("p", { class: "note" }, t("unknown")));
    return;
  }
  const series = ["best", "robust"].map((name) =>
    Object.values(DATA[name]).map((index) => COMBINATIONS[index]).filter((one) => valueOf(one) !== null));
  const [best, robust] = series;
  const unpruned = axis === "drop" ? 0 : meanBaseline();
  const numbers = dots.map((one) => one.removal.length);
  const last = Math.max(...numbers);
  const width = Math.max(300, PLOT.clientWidth);
  const height = width < 560 ? 320 : 400;
  const edge = { left: 58, right: 16, top: 22, bottom: 46 };
  const [low, high] = limits(dots, series, unpruned);
  const slot = (width - edge.left - edge.right) / (last + 1);
  const x = (number) => edge.left + (number + 0.5) * slot;
  const y = (value) => edge.top + ((high - value) / (high - low)) * (height - edge.top - edge.bottom);
  const svg = drawn("svg", { viewBox: `0 0 ${width} ${height}`, role: "group", class: dots.length > 200 ? "dense" : null, "aria-label": axis === "drop" ? t("accuracy drop (percentage points)") : t("mean accuracy (%)") });

  for (const tick of ticks(low, high, height / 60)) {
    svg.append(
      drawn("line", { class: tick === 0 && axis === "drop" ? "zero" : "axis", x1: edge.left, x2: width - edge.right, y1: y(tick), y2: y(tick) }),
      drawn("text", { x: edge.left - 8, y: y(tick) + 4, "text-anchor": "end" }, points(tick, (high - low) < 0.04 * MILLION ? 1 : 0)));
  }
  const every = Math.max(1, Math.ceil(26 / slot));
  for (let number = 0; number <= last; number += 1) {
    if (number % every === 0) svg.append(drawn("text", { x: x(number), y: height - edge.bottom + 20, "text-anchor": "middle" }, String(number)));
  }
  const middle = (height - edge.bottom + edge.top) / 2;
  svg.append(
    drawn("text", { class: "name", x: (width + edge.left - edge.right) / 2, y: height - 6, "text-anchor": "middle" }, t("blocks removed")),
    drawn("text", { class: "name", transform: `translate(14 ${middle}) rotate(-90)`, "text-anchor": "middle" }, axis === "drop" ? t("accuracy drop (percentage points)") : t("mean accuracy (%)")));

  // Within its column a dot stands by its place in the order, so that the dots do not hide each other.
  const columns = new Map();
  dots.forEach((one) => {
    const number = one.removal.length;
    if (!columns.has(number)) columns.set(number, []);
    columns.get(number).push(one);
  });
  const outside = { above: new Map(), below: new Map() };
  const spots = [];
  for (const [number, column] of columns) {
    column.sort((a, b) => valueOf(a) - valueOf(b) || a.index - b.index);
    column.forEach((one, place) => {
      const value = valueOf(one);
      const side = value > high ? "above" : value < low ? "below" : null;
      if (side) {
        outside[side].set(number, (outside[side].get(number) || 0) + 1);
        return;
      }
      // The golden ratio spreads neighbours in the order far apart in the column.
      const spread = column.length === 1 ? 0 : ((place * 0.618034) % 1) - 0.5;
      spots.push({ one, x: x(number) + spread * Math.min(slot * 0.62, 90), y: y(value) });
    });
  }
  if (unpruned !== null) {
    svg.append(drawn("rect", { class: "unpruned", x: x(0) - 5, y: y(unpruned) - 5, width: 10, height: 10 }));
  }
  const named = new Set(series.flat());
  const size = (one) => 2.6 + (3 * one.coverage) / DATASETS.length;
  for (const spot of spots) {
    if (named.has(spot.one)) continue;
    svg.append(dotOf(spot.one, "circle", spot.one.ranked ? "dot" : "dot hollow", { cx: spot.x, cy: spot.y, r: size(spot.one) }));
  }
  // How many dots lie beyond the edge: in words where there is room, else one arrow for the row.
  for (const [side, counts] of Object.entries(outside)) {
    const [words, arrow, top] = side === "above"
      ? [t("{n} above"), "▲", 12] : [t("{n} below"), "▼", height - edge.bottom - 5];
    if (counts.size && slot <= 90) svg.append(drawn("text", { x: edge.left - 8, y: top, "text-anchor": "end" }, arrow));
    for (const [number, count] of counts) {
      const text = slot > 90 ? `${arrow} ${format(words, { n: count })}` : String(count);
      svg.append(drawn("text", { class: "outside", x: x(number), y: top, "text-anchor": "middle" }, text));
    }
  }
  drawLine(svg, robust.filter((one) => !best.includes(one)), robust, "robust", x, y, slot);
  drawLine(svg, best, best, "best", x, y, slot);
  const all = [...svg.querySelectorAll(".dot")].sort((a, b) => {
    const [first, second] = [COMBINATIONS[a.dataset.index], COMBINATIONS[b.dataset.index]];
    return first.removal.length - second.removal.length || valueOf(first) - valueOf(second);
  });
  // In the order of the picture, for the arrow keys.
  if (all.length) (all.find((dot) => dot.classList.contains("best")) || all[0]).setAttribute("tabindex", "0");
  PLOT.dots = all;
  PLOT.replaceChildren(svg);
  byId("front-note").textContent = axis === "accuracy" ? t("Means over different datasets are not comparable: prefer the drop.") : "";
}

function dotOf(one, shape, kind, place) {
  const label = blockList(one.removal) + ": " + t("{drop} points", { drop: points(one.mean) }) + ", " + facts(one);
  return drawn(shape, { ...place, class: kind, tabindex: "-1", role: "button", "aria-label": label, "data-index": one.index });
}

function drawLine(svg, marked, joined, name, x, y, slot) {
  const aside = name === "robust" ? Math.min(9, slot * 0.2) : 0;
  const spot = (one) => [x(one.removal.length) + (marked.includes(one) ? aside : 0), y(valueOf(one))];
  // Accuracies over different datasets are not comparable: no line joins them.
  if (axis === "drop" && joined.length > 1 && marked.length) {
    svg.append(drawn("path", { class: "line " + name, d: "M" + joined.map((one) => spot(one).join(" ")).join("L") }));
  }
  for (const one of marked) {
    const [left, top] = spot(one);
    const ends = whiskerOf(one);
    if (ends) {
      const [from, to] = ends.map(y);
      svg.append(drawn("path", { class: "whisker " + name, d: `M${left} ${from}V${to}M${left - 4} ${from}h8M${left - 4} ${to}h8` }));
    }
    svg.append(name === "best"
      ? dotOf(one, "circle", "dot best", { cx: left, cy: top, r: 6 })
      : dotOf(one, "path", "dot robust", { d: `M${left} ${top - 7}l7 7l-7 7l-7-7z` }));
  }
}

function buildFront() {
  const mark = (kind) => drawn("svg", { width: 26, height: 14, viewBox: "0 0 26 14", "aria-hidden": "true" },
    drawn("path", { class: "line " + kind, d: "M0 7H26" }),
    kind === "best" ? drawn("circle", { class: "dot best", cx: 13, cy: 7, r: 5.5 }) : drawn("path", { class: "dot robust", d: "M13 1l6 6l-6 6l-6-6z" }));
  const differs = Object.entries(DATA.robust).some(([number, index]) => DATA.best[number] !== index);
  const square = drawn("svg", { width: 12, height: 12, viewBox: "0 0 12 12", "aria-hidden": "true" },
    drawn("rect", { class: "unpruned", x: 1, y: 1, width: 10, height: 10 }));
  byId("front-legend").append(
    element("span", {}, square, t("unpruned")),
    element("span", {}, mark("best"), t("best")),
    ...(differs ? [element("span", {}, mark("robust"), t("robust ({n} {n:dataset|datasets} or more)", { n: DATA.robustCoverage }))] : []),
    element("span", {}, t("bars: 95% interval, or ± std over datasets")),
    element("span", {}, t("larger dot: more datasets; hollow: not ranked")));
  const find = (node) => (node.dataset && node.dataset.index !== undefined ? COMBINATIONS[node.dataset.index] : null);
  tipped(PLOT, (node) => combinationTip(find(node)));
  PLOT.addEventListener("click", (event) => {
    const one = find(event.target);
    if (one) tryRemoval(one.removal);
  });
  PLOT.addEventListener("keydown", (event) => {
    const one = find(event.target);
    if (!one || (event.key !== "Enter" && event.key !== " ")) return;
    event.preventDefault();
    tryRemoval(one.removal);
  });
  rove(PLOT, () => PLOT.dots || [], (key, at, all) => {
    const to = { ArrowRight: at + 1, ArrowDown: at + 1, ArrowLeft: at - 1, ArrowUp: at - 1, Home: 0, End: all.length - 1 }[key];
    return to === undefined ? null : to;
  });
  const choices = document.querySelectorAll("[data-axis]");
  for (const button of choices) {
    button.addEventListener("click", () => {
      axis = button.dataset.axis;
      for (const other of choices) other.setAttribute("aria-pressed", String(other === button));
      drawFront();
    });
  }
  let seen = 0;
  new ResizeObserver(() => {
    if (PLOT.clientWidth === seen) return;
    seen = PLOT.clientWidth;
    drawFront();
  }).observe(PLOT);
}
