// The table of trials: its rows lie in the page as JSON, and only those of one page of it are elements; on paper, all.
const rowsShown = 25;
const absent = "–";

const section = document.getElementById("trials");
const { columns, rows } = JSON.parse(document.getElementById("trials-data").textContent);
const heads = [...section.querySelectorAll("th")];
const [words, status] = section.querySelectorAll("input, select");
const [previous, next] = section.querySelectorAll(".pager button");
const texts = new Map(rows.map((row) => [row, row.join("\n").toLowerCase()]));
const collator = new Intl.Collator(undefined, { numeric: true });
const statusColumn = columns.findIndex((column) => column.name === "status");

let found = rows;
let sortedBy = 0;
let direction = 1;
let first = 0;

function compare(one, other) {
  const [a, b] = [one[sortedBy], other[sortedBy]];
  // What is missing comes last, whichever way the others are sorted.
  if (a === null || b === null) return (a === null) - (b === null);
  return direction * (typeof a === "number" ? a - b : collator.compare(a, b));
}

function find() {
  const wanted = words.value.toLowerCase().split(/\s+/).filter(Boolean);
  found = rows
    .filter((row) => !status.value || row[statusColumn] === status.value)
    .filter((row) => wanted.every((word) => texts.get(row).includes(word)))
    .sort(compare);
  first = 0;
  show();
}

// A small number among those of no known scale is shown with three digits, not as zero.
function digits(value, decimals) {
  const isSmall = decimals > 3 && value !== 0 && Math.abs(value) < 10 ** (1 - decimals);
  return (isSmall ? `${Number(value.toPrecision(3))}` : value.toFixed(decimals)).replaceAll("-", "−");
}

function cell(value, column) {
  const element = document.createElement("td");
  const isNumber = column.decimals !== undefined;
  element.className = isNumber ? "number" : column.name;
  element.textContent =
    value === null ? absent : isNumber ? digits(value, column.decimals) : value;
  return element;
}

function show(from = first, to = first + rowsShown) {
  const last = Math.min(to, found.length);
  const lines = found.slice(from, last).map((row) => {
    const line = document.createElement("tr");
    line.className = row[statusColumn];
    line.append(...row.map((value, index) => cell(value, columns[index])));
    return line;
  });
  section.querySelector("tbody").replaceChildren(...lines);
  const of = found.length === rows.length ? `${rows.length}` : `${found.length} found, ${rows.length} in all`;
  section.querySelector("output").textContent = found.length ? `${from + 1} to ${last} of ${of}` : `none of ${of}`;
  previous.disabled = from === 0;
  next.disabled = last === found.length;
  heads.forEach((head, index) => {
    const order = direction > 0 ? "ascending" : "descending";
    index === sortedBy ? head.setAttribute("aria-sort", order) : head.removeAttribute("aria-sort");
  });
}

function turn(change) {
  first += change * rowsShown;
  show();
}

heads.forEach((head, index) =>
  head.firstElementChild.addEventListener("click", () => {
    direction = index === sortedBy ? -direction : 1;
    sortedBy = index;
    find();
  }),
);
words.addEventListener("input", find);
status.addEventListener("change", find);
previous.addEventListener("click", () => turn(-1));
next.addEventListener("click", () => turn(1));
window.addEventListener("beforeprint", () => show(0, found.length));
window.addEventListener("afterprint", () => show());
show();
