// What every page needs: the data, elements, and numbers as text. Untrusted names only ever become
// text nodes, never markup.
const DATA = JSON.parse(document.getElementById("data").textContent);
const NOTHING = "–";

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
    if (key.startsWith("--")) node.style.setProperty(key, value);
    else if (value !== null && value !== false) node.setAttribute(key, value);
  }
  node.append(...children.filter((child) => child !== null));
  return node;
}

// A text in the language of the page; `document.py` finds these calls, here and in templates.
const t = (text, values = {}) => format(DATA.words[text] ?? text, values);

// A field may hold two forms of a word: `{n} {n:block|blocks}`.
function format(text, values) {
  return text.replace(/\{(\w+)(?::([^|}]*)\|([^}]*))?\}/g, (whole, name, one, several) => {
    if (!(name in values)) return whole;
    const value = String(values[name]);
    return one === undefined ? value : value === "1" ? one : several;
  });
}

const counted = (number) => (number ? number.toLocaleString("en-US") : NOTHING);

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

// Names may break after each underscore.
function breakable(name) {
  return name.split(/(?<=_)/).flatMap((part, place) => (place ? [element("wbr"), part] : [part]));
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
