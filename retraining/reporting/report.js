"use strict";
(() => {
  const all = (selector, root = document) => [...root.querySelectorAll(selector)];

  // Filter: every row that belongs to a node, in every table.
  const bar = document.querySelector(".filter");
  const rows = all("tr[data-n]");
  if (bar) {
    const input = bar.querySelector("input");
    const buttons = all("button", bar);
    const status = bar.querySelector("[role=status]");
    const apply = () => {
      const words = input.value.trim().toLowerCase().split(/\s+/).filter(Boolean);
      const pressed = new Set(buttons.filter((b) => b.getAttribute("aria-pressed") === "true").map((b) => b.dataset.o));
      let shown = 0;
      for (const row of rows) {
        const match = words.every((word) => row.dataset.n.includes(word)) && (!pressed.size || pressed.has(row.dataset.o));
        row.hidden = !match;
        if (match && row.id) shown += 1;
      }
      status.textContent = words.length || pressed.size ? `${shown} of ${status.dataset.total} nodes, in every table` : "";
    };
    input.addEventListener("input", apply);
    for (const button of buttons) {
      button.addEventListener("click", () => {
        button.setAttribute("aria-pressed", String(button.getAttribute("aria-pressed") !== "true"));
        apply();
      });
    }
    // A link to a row that the filter hides shows everything again.
    window.addEventListener("hashchange", () => {
      const row = document.getElementById(location.hash.slice(1));
      if (row && row.hidden) {
        input.value = "";
        for (const button of buttons) button.setAttribute("aria-pressed", "false");
        apply();
        row.scrollIntoView();
      }
    });
    bar.hidden = false;
  }

  // Sort: by data-v where a cell has it (as numbers if all are), else by text; empty cells stay last.
  const value = (row, at) => {
    const cell = row.cells[at];
    return cell.dataset.v !== undefined ? cell.dataset.v : cell.textContent.trim();
  };
  for (const table of all("table[data-sort]")) {
    all("thead th", table).forEach((head, at) => {
      const button = document.createElement("button");
      button.type = "button";
      button.append(...head.childNodes);
      head.append(button);
      button.addEventListener("click", () => {
        const up = head.getAttribute("aria-sort") !== "ascending";
        all("thead th", table).forEach((other) => other.removeAttribute("aria-sort"));
        head.setAttribute("aria-sort", up ? "ascending" : "descending");
        const body = table.tBodies[0];
        const keyed = [...body.rows].map((row) => [value(row, at), row]);
        const numeric = keyed.every(([key]) => key === "" || Number.isFinite(Number(key)));
        const order = (a, b) => (numeric ? Number(a) - Number(b) : a.localeCompare(b, "en", { numeric: true }));
        keyed.sort(([a], [b]) => (a === "") - (b === "") || (up ? order(a, b) : order(b, a)));
        body.append(...keyed.map(([, row]) => row));
      });
    });
  }

  // Graph: pointing at a node shows its own edges.
  const graph = document.querySelector(".graph");
  const edges = graph ? all(".fine path", graph).map((path) => [path, path.dataset.e.split(" ")]) : [];
  const chips = graph ? all(".chip", graph) : [];
  const point = (chip) => {
    const near = new Set(chip ? [chip.dataset.p] : []);
    for (const [path, ends] of edges) {
      const mine = Boolean(chip) && ends.includes(chip.dataset.p);
      path.classList.toggle("near", mine);
      if (mine) ends.forEach((end) => near.add(end));
    }
    for (const other of chips) other.classList.toggle("near", near.has(other.dataset.p));
    graph.classList.toggle("pointed", near.size > 1);
  };
  for (const chip of chips) {
    chip.addEventListener("mouseenter", () => point(chip));
    chip.addEventListener("mouseleave", () => point(null));
    chip.addEventListener("focus", () => point(chip));
    chip.addEventListener("blur", () => point(null));
  }

  // Paper has no buttons: open everything while printing.
  let closed = [];
  window.addEventListener("beforeprint", () => {
    closed = all("details:not([open])");
    closed.forEach((one) => { one.open = true; });
  });
  window.addEventListener("afterprint", () => closed.forEach((one) => { one.open = false; }));
})();
