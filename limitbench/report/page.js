"use strict";
// Sorting, filtering and the queries' details; everything else of the page is plain HTML.
const value = (cell) => {
  const shown = cell.dataset.v ?? cell.textContent.trim();
  const number = Number(shown);
  return shown === "" ? null : Number.isNaN(number) ? shown : number;
};
const order = (a, b, falling) => {
  if (a === null || b === null) return (a === null) - (b === null);
  const way = typeof a === "number" && typeof b === "number" ? a - b : String(a).localeCompare(String(b), undefined, { numeric: true });
  return falling ? -way : way;
};
const turn = (head) => {
  const falling = head.getAttribute("aria-sort") !== "descending" && !(head.getAttribute("aria-sort") === "none" && head.cellIndex === 0);
  for (const other of head.parentElement.children) other.setAttribute("aria-sort", "none");
  head.setAttribute("aria-sort", falling ? "descending" : "ascending");
  return falling;
};
for (const table of document.querySelectorAll("table.sortable")) {
  table.tHead.addEventListener("click", (event) => {
    const head = event.target.closest("th");
    if (!head) return;
    const falling = turn(head);
    const body = table.tBodies[0];
    const under = new Map(); // what stands below a row, such as a ceiling or its record, moves with it
    const rows = [];
    for (const row of body.rows) {
      if (row.classList.contains("under") && rows.length) under.set(rows.at(-1), [...(under.get(rows.at(-1)) ?? []), row]);
      else rows.push(row);
    }
    rows.sort((a, b) => order(value(a.cells[head.cellIndex]), value(b.cells[head.cellIndex]), falling));
    body.append(...rows.flatMap((row) => [row, ...(under.get(row) ?? [])]));
  });
}
// variants of a sweep are folded under their models, unless they are asked for or looked for
for (const box of document.querySelectorAll("input[data-unfold]")) {
  const table = box.closest(".tools").nextElementSibling.querySelector("table");
  box.addEventListener("change", () => table.classList.toggle("folded", !box.checked));  // an open record folds with its row
}
for (const input of document.querySelectorAll("input[data-filter]")) {
  const table = document.getElementById(input.dataset.filter);
  const tools = input.closest(".tools");
  const box = table.closest(".wide").previousElementSibling.querySelector("[data-unfold]");
  const measured = tools.querySelector("[data-measured]");
  const rows = [...table.tBodies[0].rows].filter((row) => !row.classList.contains("record"));
  const count = tools.querySelector(".count");
  const filter = () => {
    const part = input.value.toLowerCase();
    const alone = measured !== null && measured.checked;
    for (const row of rows) row.hidden = !row.cells[0].textContent.toLowerCase().includes(part) || (alone && row.classList.contains("published"));
    for (const button of table.querySelectorAll("button.more[aria-expanded=true]")) if (button.closest("tr").hidden) button.click();
    table.classList.toggle("folded", box !== null && !part && !box.checked);
    count.textContent = part || alone ? `${rows.filter((row) => !row.hidden).length} of ${rows.length}` : "";
  };
  input.addEventListener("input", filter);
  measured?.addEventListener("change", filter);
}
// a row's record opens below it
for (const button of document.querySelectorAll("button.more")) {
  const record = button.closest("tr").nextElementSibling;
  button.addEventListener("click", () => {
    record.hidden = !record.hidden;
    button.setAttribute("aria-expanded", String(!record.hidden));
  });
}
// one tab at a time; printed, and without this script, all of them
const tabs = [...document.querySelectorAll("section.tab")];
if (tabs.length > 1) {
  const links = [...document.querySelectorAll(".tabs a")];
  const show = () => {
    if (location.hash && !tabs.some((tab) => `#${tab.id}` === location.hash)) return; // a link inside a tab
    const wanted = tabs.find((tab) => `#${tab.id}` === location.hash) ?? tabs[0];
    for (const tab of tabs) tab.classList.toggle("away", tab !== wanted);
    for (const link of links) {
      if (link.hash === `#${wanted.id}`) link.setAttribute("aria-current", "true");
      else link.removeAttribute("aria-current");
    }
  };
  addEventListener("hashchange", show);
  show();
}

// figures: a mark says its values, a series can be left out, a picture can be enlarged
const tip = document.createElement("div");
tip.id = "tip";
tip.hidden = true;
document.body.append(tip);
const pointed = (event) => {
  const mark = event.type === "pointerleave" ? null : event.target.closest("[data-tip]");
  tip.hidden = mark === null;
  if (mark === null) return;
  tip.textContent = mark.dataset.tip;
  const left = Math.min(event.clientX + 12, innerWidth - tip.offsetWidth - 8);
  tip.style.left = `${Math.max(8, left)}px`;
  tip.style.top = `${Math.max(8, event.clientY - tip.offsetHeight - 12)}px`;
};
for (const figure of document.querySelectorAll("figure")) {
  const svg = figure.querySelector("svg");
  if (!svg) continue;
  for (const title of svg.querySelectorAll("use > title")) {
    title.parentElement.dataset.tip = title.textContent;
    title.remove(); // the browser's own tip would come late, beside ours
  }
  for (const kind of ["pointermove", "pointerdown", "pointerleave"]) svg.addEventListener(kind, pointed);
  const tools = document.createElement("div");
  tools.className = "tools";
  const large = document.createElement("button");
  large.type = "button";
  large.textContent = "Enlarge";
  large.setAttribute("aria-pressed", "false");
  large.addEventListener("click", () => {
    large.setAttribute("aria-pressed", String(figure.classList.toggle("large")));
  });
  tools.append(large);
  const groups = [...svg.querySelectorAll("g[data-series]")];
  const names = [...new Set(groups.map((group) => group.dataset.series))];
  if (names.length > 1) {
    const details = document.createElement("details");
    const summary = document.createElement("summary");
    summary.textContent = "Choose what is shown";
    const fields = document.createElement("fieldset");
    for (const name of names) {
      const label = document.createElement("label");
      const box = document.createElement("input");
      box.type = "checkbox";
      box.checked = true;
      box.addEventListener("change", () => {
        for (const group of groups) if (group.dataset.series === name) group.style.display = box.checked ? "" : "none";
      });
      label.append(box, ` ${name}`);
      fields.append(label);
    }
    details.append(summary, fields);
    tools.append(details);
  }
  figure.append(tools);
}

const source = document.getElementById("drill-data");
if (source) {
  const data = JSON.parse(source.textContent);
  const [run, filter, failing, more, count] = ["run", "filter", "failing", "more", "count"].map((name) => document.getElementById(`drill-${name}`));
  const table = document.getElementById("drill");
  const PAGE = 50;
  let shown = PAGE;
  let sorting = { column: 1, falling: false };
  const element = (name, text, kind) => {
    const made = document.createElement(name);
    if (text !== undefined) made.textContent = text;
    if (kind) made.className = kind;
    return made;
  };
  const named = (known, number, what) => {
    const found = known[number];
    return found ? (found[1] ? `${found[0]}: ${found[1]}` : found[0]) : `${what} ${number}`;
  };
  const columns = (one) => [
    ["query", (row) => named(data.datasets[one.dataset].queries, row.q, "query")],
    [one.measure, (row) => row.m],
    ["last relevant at rank", (row) => (row.l === null ? Infinity : row.l)],
    ["others at or above it", (row) => row.o],
    ["score gap", (row) => row.g],
  ];
  const told = (number, one) => {
    if (number === null) return "";
    if (number === Infinity) return `not in the first ${one.depth}`;
    if (typeof number === "string" || Number.isInteger(number)) return String(number);
    return Math.abs(number) >= 100 ? number.toFixed(1) : number.toPrecision(3);
  };
  // the query's words, but for short ones, marked in a text
  const marked = (line, text, query) => {
    const words = new Set((query.toLowerCase().match(/[\p{L}\p{N}]{4,}/gu) ?? []).map((word) => word.replace(/e?s$/, "")));
    for (const piece of text.split(/([\p{L}\p{N}]+)/u)) {
      const same = words.has(piece.toLowerCase().replace(/e?s$/, ""));
      line.append(same ? element("mark", piece) : piece);
    }
    return line;
  };
  const detail = (row, one) => {
    const known = data.datasets[one.dataset].documents;
    const query = data.datasets[one.dataset].queries[row.q]?.[1] ?? "";
    const cell = element("td");
    cell.colSpan = 6;
    cell.append(element("strong", "Relevant"));
    const relevant = element("ul");
    for (const [document_, rank] of row.r) {
      const place = rank === null ? `not in the first ${one.depth}` : `rank ${told(rank, one)}`;
      relevant.append(marked(element("li"), `${place}: ${named(known, document_, "document")}`, query));
    }
    cell.append(relevant);
    if (row.a.length) {
      cell.append(element("strong", `Not relevant, and at or above the last of them (${row.o} in all)`));
      const above = element("ol");
      for (const document_ of row.a) above.append(marked(element("li"), named(known, document_, "document"), query));
      cell.append(above);
    }
    const line = element("tr", undefined, "detail");
    line.append(cell);
    return line;
  };
  const draw = () => {
    const one = data.runs[Number(run.value)];
    const listed = columns(one);
    const part = filter.value.toLowerCase();
    const head = table.tHead.rows[0];
    if (head.dataset.run !== run.value) {
      head.replaceChildren();
      for (const [title] of listed) {
        const cell = element("th");
        cell.scope = "col";
        const button = element("button", title);
        button.type = "button";
        cell.append(button);
        head.append(cell);
      }
      const last = element("th");
      last.scope = "col";
      last.append(element("span", "details", "quiet"));
      head.append(last);
      head.dataset.run = run.value;
    }
    [...head.cells].forEach((cell, i) => cell.setAttribute("aria-sort", i === sorting.column ? (sorting.falling ? "descending" : "ascending") : "none"));
    const get = listed[sorting.column][1];
    const rows = one.rows
      .filter((row) => (!failing.checked || row.f) && (!part || listed[0][1](row).toLowerCase().includes(part)))
      .sort((a, b) => order(get(a), get(b), sorting.falling));
    const body = table.tBodies[0];
    body.replaceChildren();
    for (const row of rows.slice(0, shown)) {
      const line = element("tr");
      listed.forEach(([, of], i) => {
        const cell = element(i ? "td" : "th", i === 1 ? told(100 * row.m, one) : told(of(row), one), i ? "" : "text");
        if (!i) cell.scope = "row";
        line.append(cell);
      });
      const last = element("td");
      const button = element("button", "details");
      button.type = "button";
      button.setAttribute("aria-expanded", "false");
      button.addEventListener("click", () => {
        const open = button.getAttribute("aria-expanded") === "true";
        button.setAttribute("aria-expanded", String(!open));
        line.classList.toggle("open", !open);
        if (open) line.nextElementSibling.remove();
        else line.after(detail(row, one));
      });
      last.append(button);
      line.append(last);
      body.append(line);
    }
    const left = one.judged > one.rows.length ? ` (of ${one.judged} in the data; those with relevant documents, failing ones first, as far as they fit)` : "";
    count.textContent = `${rows.length} of ${one.rows.length} queries${left}`;
    more.hidden = rows.length <= shown;
  };
  table.tHead.addEventListener("click", (event) => {
    const head = event.target.closest("th");
    if (!head || !head.querySelector("button")) return;
    sorting = { column: head.cellIndex, falling: sorting.column === head.cellIndex && !sorting.falling };
    draw();
  });
  const again = () => {
    shown = PAGE;
    draw();
  };
  run.addEventListener("change", again);
  filter.addEventListener("input", again);
  failing.addEventListener("change", again);
  more.addEventListener("click", () => {
    shown += 4 * PAGE;
    draw();
  });
  draw();
}
