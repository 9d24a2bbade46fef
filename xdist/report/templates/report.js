// Sorting and filtering of the language table. Without this script the page is complete, in order of pre-training text.
(() => {
  const table = document.getElementById("map"), body = table.tBodies[0], original = [...body.rows];
  const headers = [...table.querySelectorAll("th[data-sort]")];
  const status = document.getElementById("status");
  // A header's place in the row: the corner headers come first, then the columns of scores, in either form of the head.
  const value = (row, at) => {
    const cell = row.cells[at];
    return cell.tagName === "TH" ? cell.textContent.trim() : cell.dataset.value === undefined ? null : Number(cell.dataset.value);
  };

  function sort(at) {
    const header = headers[at], now = header.getAttribute("aria-sort");
    const next = now === null ? header.dataset.sort : now === "ascending" ? "descending" : "ascending";
    const sign = next === "ascending" ? 1 : -1;
    const rows = [...original].sort((left, right) => {
      const a = value(left, at), b = value(right, at);
      if (a === null || b === null) return (a === null) - (b === null); // not evaluated: last in both directions
      return sign * (typeof a === "string" ? a.localeCompare(b) : a - b);
    });
    for (const other of headers) other.removeAttribute("aria-sort");
    header.setAttribute("aria-sort", next);
    body.append(...rows);
  }

  headers.forEach((header, at) => {
    const button = document.createElement("button");
    button.type = "button";
    button.append(...header.childNodes);
    header.append(button);
    button.addEventListener("click", () => sort(at));
  });

  const controls = document.getElementById("controls"), choices = [...controls.querySelectorAll("button")];
  for (const choice of choices) {
    choice.addEventListener("click", () => {
      const group = choice.dataset.group;
      for (const other of choices) other.setAttribute("aria-pressed", String(other === choice));
      for (const row of original) row.hidden = group !== "" && row.dataset.group !== group;
      status.textContent = `${original.filter((row) => !row.hidden).length} of ${original.length} languages`;
    });
  }
  controls.hidden = false;
})();
