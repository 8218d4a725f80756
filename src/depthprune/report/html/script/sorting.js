// Tables that a click on a heading sorts; another click turns them round.

// What is unknown (null) stands last, whichever way one sorts; `value` returns what a column sorts by.
function sortedRows(rows, order, value, compare = (first, second) => first - second) {
  const sign = order.ascending ? 1 : -1;
  return [...rows].sort((a, b) => {
    const [first, second] = [value(a, order.key), value(b, order.key)];
    if (first === null || second === null) return (first === null) - (second === null) || a.index - b.index;
    return sign * compare(first, second, order.key) || a.index - b.index;
  });
}

// A table in `box`; each column has `key`, `name`, and `number: false` where it holds text.
function sortableTable(box, columns, order, show) {
  const headings = columns.map((column) => {
    const button = element("button", { type: "button" }, column.name);
    button.addEventListener("click", () => {
      order.ascending = order.key === column.key ? !order.ascending : true;
      order.key = column.key;
      show();
    });
    return element("th", { scope: "col", class: column.number === false ? null : "num", "data-key": column.key }, button);
  });
  box.append(element("table", {}, element("thead", {}, element("tr", {}, ...headings)), element("tbody")));
}

function showSorted(box, rows, order) {
  box.querySelector("tbody").replaceChildren(...rows);
  for (const heading of box.querySelectorAll("th")) {
    if (heading.dataset.key === order.key) heading.setAttribute("aria-sort", order.ascending ? "ascending" : "descending");
    else heading.removeAttribute("aria-sort");
  }
}
