// Sorting of tables, filtering of rows and columns. Without this script the page is complete, in order of pre-training text.
(() => {
  // A header's place in the row is its own, or what it says: in a head of two rows the last columns are told first.
  const value = (row, at) => {
    const cell = row.cells[at];
    return cell.tagName === "TH" ? cell.textContent.trim() : cell.dataset.value === undefined ? null : Number(cell.dataset.value);
  };

  function sortable(table) {
    const body = table.tBodies[0], original = [...body.rows], headers = [...table.querySelectorAll("th[data-sort]")];
    function sort(header, at) {
      const now = header.getAttribute("aria-sort");
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
    headers.forEach((header, number) => {
      const button = document.createElement("button");
      button.type = "button";
      button.append(...header.childNodes);
      header.append(button);
      button.addEventListener("click", () => sort(header, Number(header.dataset.at ?? number)));
    });
  }
  for (const table of document.querySelectorAll("table[data-sortable]")) sortable(table);

  const maps = [...document.querySelectorAll("table.languages")];
  if (!maps.length) return;
  const controls = document.getElementById("controls"), status = document.getElementById("status");
  const choices = [...controls.querySelectorAll("button")], family = document.getElementById("family");
  const rows = [...document.querySelectorAll("tr[data-group]")], ofMap = [...maps[0].tBodies[0].rows];
  let group = "";
  function filter() {
    for (const row of rows) {
      row.hidden = (group !== "" && !row.dataset.group.split(" ").includes(group)) || (family.value !== "" && row.dataset.family !== family.value);
    }
    status.textContent = `${ofMap.filter((row) => !row.hidden).length} of ${ofMap.length} languages`;
  }
  for (const choice of choices) {
    choice.addEventListener("click", () => {
      group = choice.dataset.group;
      for (const other of choices) other.setAttribute("aria-pressed", String(other === choice));
      filter();
    });
  }
  family.addEventListener("change", filter);
  const run = document.getElementById("run");
  run?.addEventListener("change", () => {
    for (const map of maps) {
      for (const cell of map.querySelectorAll("[data-run]")) cell.hidden = run.value !== "" && cell.dataset.run !== run.value;
      for (const head of map.querySelectorAll("[data-runs]")) {
        const seen = head.dataset.runs.trim().split(" ").filter((one) => run.value === "" || one === run.value).length;
        head.hidden = seen === 0;
        head.colSpan = Math.max(1, seen);
      }
    }
  });
  controls.hidden = false;
})();
