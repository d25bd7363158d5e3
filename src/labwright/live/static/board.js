// The class, in order of need. Whatever comes from a machine is set as text.
const MARKS = { passed: "\u2713", failed: "\u2717", broken: "!", blocked: "\u2013", waiting: "\u00b7", changing: "\u2026" };
const STOPPED = [1001, 1012];
const find = (selector) => document.querySelector(selector);
const titles = new Map([...document.querySelectorAll("th[data-step]")].map(
  (head) => [head.dataset.step, head.querySelector("abbr").title]));
let hidden = false, last = "";

function element(name, text, classes = "") {
  const made = document.createElement(name);
  made.textContent = text;
  made.className = classes;
  return made;
}

function since(minutes) {
  if (minutes < 1) return "just now";
  return minutes < 60 ? `${minutes} min` : `${Math.floor(minutes / 60)} h ${minutes % 60} min`;
}

function status(words, alert = false) {
  const line = find("#status");
  if (line.textContent !== words) line.textContent = words;
  line.classList.toggle("alert", alert);
}

function row(told) {
  const made = element("tr", "", told.gone ? "gone" : "");
  const name = element("th", "");
  name.scope = "row";
  const link = element("a", hidden ? `Student ${told.number}` : told.name);
  link.href = `student/${told.number}/${hidden ? "?hidden" : ""}`;
  name.append(link);
  const where = element("td", titles.get(told.next) ?? (!told.seen ? "not visited yet" : told.gone ? "" : "all that can be seen is done"));
  // A machine's address often has its student's name.
  const why = told.gone && hidden ? "its machine cannot be reached" : told.why;
  if (why && (told.next || told.gone)) where.append(element("div", why, "why"));
  made.append(name, element("td", told.points, "number"), where,
    element("td", told.next && told.seen ? since(told.quiet_min) : "", "number"));
  told.outcomes.forEach((outcome, place) => {
    const cell = element("td", MARKS[outcome], `cell ${outcome}`);
    cell.title = `${[...titles.values()][place]}: ${outcome}`;
    cell.setAttribute("aria-label", outcome);
    made.append(cell);
  });
  return made;
}

// What is shown stays as it is while nothing is new: it may be pointed at, or read out.
function hear(message) {
  if (message !== last) show(JSON.parse(message));
  last = message;
}

function show(told) {
  // Whoever reads a row with the keyboard keeps it.
  const focused = document.activeElement?.getAttribute("href");
  find("#rows").replaceChildren(...told.rows.map(row));
  if (focused) find(`#rows a[href="${CSS.escape(focused)}"]`)?.focus();
  find("#common").textContent = told.common
    ? `The commonest failure now, of ${told.common[2]}: ${titles.get(told.common[0])}: ${told.common[1]}` : "";
  const seen = told.rows.filter((each) => each.seen).length;
  const done = told.rows.filter((each) => each.seen && !each.next && !each.gone).length;
  status(told.problem || `${seen} of ${told.rows.length} seen, ${done} have done all that can be seen.`, Boolean(told.problem));
}

function hide() {
  hidden = !hidden;
  find("#hide").setAttribute("aria-pressed", String(hidden));
  if (last) show(JSON.parse(last));
}

function connect() {
  const live = new WebSocket(`ws://${location.host}${document.body.dataset.place}/live`);
  live.onmessage = (message) => hear(message.data);
  live.onclose = (event) => {
    const over = STOPPED.includes(event.code);
    status(over ? "labwright has ended. You can close this page." :
      "The connection to labwright is lost. Trying again.", true);
    if (!over) setTimeout(connect, 1000);
  };
}

find("#hide").onclick = hide;
document.addEventListener("keydown", (event) => {
  if (event.key === "n" && !event.ctrlKey && !event.metaKey && !event.altKey) hide();
});
connect();
