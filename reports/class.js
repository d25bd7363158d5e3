"use strict";
// Comfort only: everything can be read without this script.
(() => {
  const body = document.querySelector(".heat tbody");
  const rows = [...body.rows];
  const words = new Map(rows.map((row) => [row, row.textContent.toLowerCase()]));
  const buttons = [...document.querySelectorAll("[data-show]")];
  const search = document.getElementById("search");
  const collator = new Intl.Collator(undefined, { numeric: true });
  let kind = "";

  const show = () => {
    const wanted = search.value.trim().toLowerCase();
    let shown = 0;
    for (const row of rows) {
      row.hidden = (kind !== "" && !row.classList.contains(kind)) || !words.get(row).includes(wanted);
      shown += row.hidden ? 0 : 1;
    }
    document.getElementById("shown").textContent = `${shown} shown`;
  };

  for (const button of buttons) {
    button.addEventListener("click", () => {
      kind = button.dataset.show;
      for (const other of buttons) other.setAttribute("aria-pressed", String(other === button));
      show();
    });
  }
  search.addEventListener("input", show);

  const sort = (head) => {
    const up = head.getAttribute("aria-sort") !== "ascending";
    for (const other of head.parentNode.cells) other.removeAttribute("aria-sort");
    head.setAttribute("aria-sort", up ? "ascending" : "descending");
    const keys = new Map(rows.map((row) => [row, row.cells[head.cellIndex].textContent.trim()]));
    const numbers = head.dataset.sort === "number";
    const sign = up ? 1 : -1;
    // Blank is no grade, and comes last whichever way.
    rows.sort((one, two) => {
      const [a, b] = [keys.get(one), keys.get(two)];
      if (a === "" || b === "") return (a === "") - (b === "");
      return sign * (numbers ? Number(a) - Number(b) : collator.compare(a, b));
    });
    body.append(...rows);
  };
  for (const head of document.querySelectorAll("[data-sort]")) {
    head.tabIndex = 0;
    head.addEventListener("click", () => sort(head));
    head.addEventListener("keydown", (event) => { if (event.key === "Enter") sort(head); });
  }
  addEventListener("keydown", (event) => {
    if (event.key === "/" && event.target !== search) { event.preventDefault(); search.focus(); }
  });

  // A link to a student shows them even where a filter hid them.
  const reveal = () => {
    const row = document.getElementById(location.hash.slice(1));
    if (!row || !row.hidden) return;
    search.value = "";
    buttons[0].click();
    row.scrollIntoView();
  };
  addEventListener("hashchange", reveal);
  document.getElementById("tools").hidden = rows.length === 0;
  show();
})();
