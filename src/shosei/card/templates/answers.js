"use strict";
// Tables of answers: a search over all of them, and twenty rows at a time. Without this script they are plain tables.
(() => {
  const ROWS = 20;
  // Width, case and line breaks make no difference; no word ends are looked for, since Chinese and Japanese show none.
  const folded = (text) => text.normalize("NFKC").toLowerCase().toUpperCase().replace(/\s+/g, " ");
  const cells = (row) => [...row.querySelectorAll("th, td > :not(b)")];

  for (const section of document.querySelectorAll(".answers")) {
    const box = section.querySelector(".search input");
    const suites = [...section.querySelectorAll(".suite")].map((suite) => {
      const rows = [...suite.querySelectorAll("tbody > tr")];
      const pages = suite.querySelector(".pages");
      const table = { suite, rows, matching: rows, first: 0 };
      if (!pages) return table;
      const [before, after] = pages.querySelectorAll("button");
      table.show = (first) => {
        const all = table.matching.length;
        table.first = Math.max(0, Math.min(first, ROWS * Math.floor((all - 1) / ROWS)));
        const page = new Set(table.matching.slice(table.first, table.first + ROWS));
        for (const row of rows) row.hidden = !page.has(row);
        pages.hidden = all <= ROWS;
        pages.querySelector("output").textContent = `${table.first + 1}–${table.first + page.size} / ${all}`;
        before.disabled = table.first === 0;
        after.disabled = table.first + ROWS >= all;
      };
      before.addEventListener("click", () => table.show(table.first - ROWS));
      after.addEventListener("click", () => table.show(table.first + ROWS));
      table.show(0);
      return table;
    });
    const search = () => {
      const wanted = folded(box.value.trim());
      for (const table of suites) {
        const has = (row) => cells(row).some((cell) => folded(cell.textContent).includes(wanted));
        table.matching = wanted ? table.rows.filter(has) : table.rows;
        table.show?.(0);
        table.suite.querySelector("summary > output").textContent = wanted ? `${table.matching.length} / ${table.rows.length}` : "";
        if (wanted) table.suite.open = table.matching.length > 0;
      }
    };
    box.addEventListener("input", search);
    section.querySelector(".search").hidden = false;
  }
})();
