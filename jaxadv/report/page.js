"use strict";
// What a reader may do with a page: sort, filter, copy, point at numbers, enlarge pictures, and keep an address.

const make = (name, attributes = {}, ...children) => {
  const element = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) element.setAttribute(key, value);
  element.append(...children);
  return element;
};
const words = element => element.textContent.replace(/\s+/g, " ").trim();
// A heading or cell without what is small in it.
const main = element => {
  const copy = element.cloneNode(true);
  for (const small of copy.querySelectorAll("small")) small.remove();
  return words(copy);
};
const smalls = element => [...element.querySelectorAll("small")].map(words).filter(text => text);
const bodyRows = table => [...table.tBodies].flatMap(body => [...body.rows]);

// The text of each column's heading: two lines of headings are joined, such as "L2 mean".
const headings = table => {
  const rows = [...table.tHead.rows], found = [];
  if (!rows.some(row => row.querySelector("[data-c]"))) return [...rows[0].cells].map(main);
  let across = [];
  for (const head of rows[0].cells) {
    if (head.dataset.c !== undefined) found[Number(head.dataset.c)] = main(head);
    else across = across.concat(Array(head.colSpan).fill(main(head)));
  }
  [...(rows[1] ? rows[1].cells : [])].forEach((head, number) => {
    found[Number(head.dataset.c)] = `${across[number] || ""} ${main(head)}`.trim();
  });
  return found;
};

// ---- Sorting: a heading with data-c sorts by the cells of that number: by data-v where a cell has it, else by its text. What has no
// number comes last. A row of class "group" stays at the head of its part of the table, which is sorted by itself.
const sortable = table => {
  const heads = [...table.querySelectorAll("thead th[data-c]")];
  for (const head of heads) {
    const button = make("button", { type: "button" }, ...head.childNodes);
    head.append(button);
    button.addEventListener("click", () => {
      const down = head.getAttribute("aria-sort") === "ascending";
      for (const other of heads) other.removeAttribute("aria-sort");
      head.setAttribute("aria-sort", down ? "descending" : "ascending");
      const place = Number(head.dataset.c);
      const value = row => {
        const cell = row.cells[place];
        return cell.dataset.v === undefined ? words(cell) : cell.dataset.v === "" ? null : Number(cell.dataset.v);
      };
      for (const body of table.tBodies) {
        const rows = [...body.rows].filter(row => !row.classList.contains("group"));
        rows.sort((one, other) => {
          const a = value(one), b = value(other);
          if (a === null || b === null) return (a === null) - (b === null);
          const order = typeof a === "number" ? a - b : a.localeCompare(b, "en", { numeric: true });
          return down ? -order : order;
        });
        body.append(...rows);
      }
    });
  }
};

// ---- Copying. CSV has a column each for value, interval and the rest of a cell; the others have cells as they are shown.
const NUMBERS = /-?\d[\d.]*(?:e-?\d+)?|∞/g;
const spread = cell => {
  const notes = smalls(cell), ends = notes.find(note => note.startsWith("["));
  const text = main(cell), number = Number(cell.dataset.v || NaN), isShare = text.endsWith("%");
  let value = Number.isFinite(number) ? number : isShare ? text.slice(0, -1).trim() : text;
  // A share is kept as 0 to 1, and shown in percent as its interval is.
  if (isShare && Math.abs(100 * number - parseFloat(text)) < 0.6) value = Number((100 * number).toPrecision(7));
  return { isShare, value: String(value), ends: ends ? ends.match(NUMBERS) || [] : [], rest: notes.filter(note => note !== ends).join(", ") };
};
const inert = text => (/^[=+\-@\t\r]/.test(text) && !/^-?[\d.]+(e-?\d+)?$/.test(text) ? `'${text}` : text);
const quoted = text => (/[",\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text);
const lines = table => {
  const groups = bodyRows(table).some(row => row.classList.contains("group"));
  let group = "";
  const rows = [];
  for (const row of bodyRows(table)) {
    if (row.classList.contains("group")) group = words(row);
    else if (!row.hidden) rows.push({ group: groups ? [group] : [], cells: [...row.cells] });
  }
  return { heads: headings(table), groups, rows };
};
const asCsv = table => {
  const { heads, groups, rows } = lines(table);
  const cells = rows.map(row => row.cells.map(spread));
  const wide = heads.map((_, place) => ({
    ends: Math.max(0, ...cells.map(row => (row[place] ? row[place].ends.length : 0))),
    rest: cells.some(row => row[place] && row[place].rest),
    unit: cells.some(row => row[place] && row[place].isShare) ? " (%)" : "",
  }));
  const first = heads.flatMap((head, place) => [
    head + wide[place].unit,
    ...["low", "high"].slice(0, wide[place].ends).map(end => `${head} ${end}`),
    ...(wide[place].rest ? [`${head} note`] : []),
  ]);
  const body = cells.map((row, number) => [
    ...rows[number].group,
    ...row.flatMap((cell, place) => [
      cell.value,
      ...Array.from({ length: wide[place].ends }, (_, end) => cell.ends[end] || ""),
      ...(wide[place].rest ? [cell.rest] : []),
    ]),
  ]);
  const text = [[...(groups ? ["group"] : []), ...first], ...body];
  return text.map(row => row.map(cell => quoted(inert(cell))).join(",")).join("\n") + "\n";
};
const grid = table => {
  const { heads, groups, rows } = lines(table);
  const full = cell => [main(cell), ...smalls(cell)].join(" ");
  return [[...(groups ? ["group"] : []), ...heads], ...rows.map(row => [...row.group, ...row.cells.map(full)])];
};
const asMarkdown = table => {
  const escaped = text => text.replace(/[\\|]/g, "\\$&").replace(/&(?=#?\w+;)/g, "&amp;").replaceAll("<", "&lt;").replaceAll("](", "]\\(");
  const [head, ...rows] = grid(table).map(row => `| ${row.map(escaped).join(" | ")} |`);
  return [head, `|${" --- |".repeat(grid(table)[0].length)}`, ...rows].join("\n") + "\n";
};
const LATEX = { "\\": "\\textbackslash{}", "~": "\\textasciitilde{}", "^": "\\textasciicircum{}", "∞": "$\\infty$", "–": "--", "<": "\\textless{}",
  ">": "\\textgreater{}", "[": "{[}", "]": "{]}", "×": "$\\times$", "ε": "$\\varepsilon$", "κ": "$\\kappa$" };
const asLatex = table => {
  const escaped = text => [...text].map(one => LATEX[one] || ("&%$#_{}".includes(one) ? `\\${one}` : one)).join("");
  const [head, ...rows] = grid(table).map(row => `${row.map(escaped).join(" & ")} \\\\`);
  const kinds = "l" + "r".repeat(Math.max(0, grid(table)[0].length - 1));
  return [`\\begin{tabular}{${kinds}}`, "\\hline", head, "\\hline", ...rows, "\\hline", "\\end{tabular}"].join("\n") + "\n";
};
const said = make("span", { role: "status", class: "unseen" });
const copy = async (text, button) => {
  try {
    await navigator.clipboard.writeText(text);
  } catch {
    const area = make("textarea", { "aria-hidden": "true" });
    area.value = text;
    document.body.append(area);
    area.select();
    document.execCommand("copy");
    area.remove();
    button.focus();
  }
  said.textContent = "";
  said.textContent = "copied";
  const before = button.textContent;
  button.textContent = "copied";
  setTimeout(() => { button.textContent = before; }, 1200);
};
const copyable = table => {
  const tools = make("div", { class: "tools" }, "copy as");
  for (const [name, write] of [["CSV", asCsv], ["Markdown", asMarkdown], ["LaTeX", asLatex]]) {
    const button = make("button", { type: "button" }, name);
    button.addEventListener("click", () => copy(write(table), button));
    tools.append(button);
  }
  table.closest(".scroll").before(tools);
  return tools;
};

// ---- The filter of the table of models: by family and by text. Points of models that are left out fade.
const filterable = (table, tools) => {
  const place = headings(table).indexOf("family");
  if (place < 0) return;
  const families = [...new Set(bodyRows(table).map(row => words(row.cells[place])))];
  const choice = make("select", {}, make("option", { value: "" }, "all"), ...families.map(name => make("option", {}, name)));
  const text = make("input", { type: "search", placeholder: "part of a name" });
  const count = make("span", { role: "status" });
  const filter = () => {
    const rows = bodyRows(table), kept = new Map();
    for (const row of rows) {
      const named = words(row.cells[0]).toLowerCase().includes(text.value.trim().toLowerCase());
      row.hidden = !(named && (!choice.value || words(row.cells[place]) === choice.value));
      if (row.id) kept.set(row.id, !row.hidden);
    }
    for (const point of document.querySelectorAll(".chart .tip")) point.classList.toggle("dim", kept.get(point.dataset.to) === false);
    const shown = rows.filter(row => !row.hidden).length;
    count.textContent = shown < rows.length ? `${shown} of ${rows.length}` : "";
  };
  choice.addEventListener("change", filter);
  text.addEventListener("input", filter);
  tools.prepend(make("label", {}, "family", choice), make("label", {}, "name", text), count);
};

// ---- What a point or a cell says, where a pointer rests on it or the keyboard reaches it.
const tip = make("div", { id: "tip", role: "tooltip", hidden: "" });
const said_of = new WeakMap();
const saysOf = element => {
  if (said_of.has(element)) return said_of.get(element);
  const title = element.querySelector(":scope > title");
  let text = title ? title.textContent : element.getAttribute("title") || "";
  if (title) title.remove();
  element.removeAttribute("title");
  if (!text && element.matches("td")) {
    const row = element.parentElement, table = element.closest("table");
    const name = row.querySelector("th[scope=row]"), heads = headings(table);
    const n = heads.indexOf("n"), own = element.cellIndex;
    const group = row.parentElement.querySelector(".group");
    const about = [name && main(name), group && words(group), heads[own]].filter(part => part).join(", ");
    text = `${about}: ${[main(element), ...smalls(element)].join(" ")}`;
    if (n >= 0 && n !== own) text += `, n ${main(row.cells[n])}`;
  }
  said_of.set(element, text);
  return text;
};
const POINTS = ".tip, .heat td, .numbers:not(.claims, .published) tbody td:not(.text), .numbers thead th";
let pointed = null;
const unsay = () => { pointed = null; tip.hidden = true; };
const say = (element, x, y) => {
  const text = saysOf(element);
  if (!text) return unsay();
  if (pointed !== element) {
    pointed = element;
    tip.textContent = text;
    tip.hidden = false;
  }
  const box = tip.getBoundingClientRect(), edge = 8;
  tip.style.left = `${Math.max(edge, Math.min(x + 14, innerWidth - box.width - edge))}px`;
  tip.style.top = `${y + 18 + box.height > innerHeight ? Math.max(edge, y - box.height - 12) : y + 18}px`;
};
const near = event => (event.target.closest ? event.target.closest(POINTS) : null);
const reveal = address => {
  const place = document.getElementById(address);
  if (!place) return false;
  for (let part = place.parentElement; part; part = part.parentElement) if (part.tagName === "DETAILS") part.open = true;
  return place;
};
const go = address => {
  const place = reveal(address);
  if (!place) return;
  if (place.hidden) place.hidden = false;
  location.hash = `#${encodeURI(address)}`;
  place.tabIndex = -1;
  place.focus({ preventScroll: true });
  place.scrollIntoView({ block: "center" });
};
const leadsTo = element => element.dataset.to || (element.matches(".heat td") && element.parentElement.dataset.to) || "";

document.addEventListener("pointermove", event => {
  const element = near(event);
  element ? say(element, event.clientX, event.clientY) : unsay();
});
document.addEventListener("focusin", event => {
  const element = near(event);
  if (!element) return unsay();
  const box = element.getBoundingClientRect();
  say(element, box.left + box.width / 2, box.top + box.height / 2);
});
document.addEventListener("focusout", unsay);
document.addEventListener("click", event => {
  const element = near(event);
  if (element && leadsTo(element)) go(leadsTo(element));
});

// The points of a figure and the cells of a map are one stop of the keyboard each: arrows go from one to the next.
const roving = (elements, columns) => {
  let stop = elements[0];
  elements.forEach((element, number) => {
    element.tabIndex = number ? -1 : 0;
    element.addEventListener("focus", () => {
      stop.tabIndex = -1;
      stop = element;
      stop.tabIndex = 0;
    });
    element.addEventListener("keydown", event => {
      const steps = { ArrowRight: 1, ArrowLeft: -1, ArrowDown: columns, ArrowUp: -columns };
      if (event.key === "Escape") unsay();
      if (event.key === "Enter" && leadsTo(element)) go(leadsTo(element));
      const next = elements[number + (steps[event.key] || 0)];
      if (!(event.key in steps) || !next) return;
      event.preventDefault();
      next.focus();
    });
  });
};
const chart = drawing => {
  const points = [...drawing.querySelectorAll(".tip")];
  if (!points.length) return;
  drawing.setAttribute("role", "group");
  const across = point => point.getBoundingClientRect().left;
  for (const point of points) {
    point.setAttribute("role", "link");
    point.setAttribute("aria-label", saysOf(point));
  }
  roving(points.sort((one, other) => across(one) - across(other)), 1);
};

// ---- Pictures enlarge.
const dialog = make("dialog", { "aria-label": "Picture" });
const enlarge = image => {
  const close = make("button", { type: "button" }, "close");
  close.addEventListener("click", () => dialog.close());
  dialog.replaceChildren(make("img", { src: image.src, alt: image.alt }), make("p", {}, image.alt), close);
  dialog.showModal();
};
dialog.addEventListener("click", event => { if (event.target === dialog) dialog.close(); });

document.body.append(tip, dialog, said);
for (const table of document.querySelectorAll("table.numbers")) {
  sortable(table);
  const tools = copyable(table);
  if (table.matches(".overview, .leaders")) filterable(table, tools);
}
for (const table of document.querySelectorAll("table.heat")) {
  copyable(table);
  const cells = bodyRows(table).flatMap(row => [...row.cells].filter(cell => cell.tagName === "TD"));
  roving(cells, bodyRows(table).length);
}
for (const drawing of document.querySelectorAll(".chart svg")) chart(drawing);
for (const image of document.querySelectorAll(".pictures img")) {
  const button = make("button", { type: "button" });
  image.replaceWith(button);
  button.append(image);
  button.addEventListener("click", () => enlarge(image));
}
for (const head of document.querySelectorAll("section > h2")) {
  const link = make("a", { href: `#${head.parentElement.id}` }, ...head.childNodes);
  head.append(link);
}
const follow = () => { if (location.hash) reveal(decodeURI(location.hash.slice(1))); };
addEventListener("hashchange", follow);
follow();
