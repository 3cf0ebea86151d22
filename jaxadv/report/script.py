"""The page's only script: a heading of a table sorts it, by mouse or keyboard. Without scripts the page lacks nothing else."""

import base64
import hashlib

# A heading with data-c sorts by the cells of that number: by data-v where a cell has it, else by its text; what has none comes last.
# A row of class "group" stays at the head of its part of the table, which is sorted by itself.
SCRIPT = """
for (const table of document.querySelectorAll("table.numbers")) {
  const heads = [...table.querySelectorAll("thead th[data-c]")];
  for (const head of heads) {
    const button = document.createElement("button");
    button.type = "button";
    button.append(...head.childNodes);
    head.append(button);
    button.addEventListener("click", () => {
      const down = head.getAttribute("aria-sort") === "ascending";
      for (const other of heads) other.removeAttribute("aria-sort");
      head.setAttribute("aria-sort", down ? "descending" : "ascending");
      const place = Number(head.dataset.c);
      const value = row => {
        const cell = row.cells[place];
        return cell.dataset.v === undefined ? cell.textContent.trim() : cell.dataset.v === "" ? null : Number(cell.dataset.v);
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
}
"""
# Nothing may be loaded, and no other script may run, whatever a name in the rows holds.
POLICY = (
    "default-src 'none'; img-src data:; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'; "
    f"script-src 'sha256-{base64.b64encode(hashlib.sha256(SCRIPT.encode()).digest()).decode()}'"
)
