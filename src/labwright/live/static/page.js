// The state of the steps and the terminals. Whatever comes from the machine is set as text.
import { FitAddon } from "./xterm/addon-fit.mjs";
import { Terminal } from "./xterm/xterm.mjs";

const RETRY_MS = 1000;
const FOLLOWING = "Following the machine.";
const ENDED = 4410, UNKNOWN = 4404;
const STOPPED = [1001, 1012]; // what a server that ends closes with
const THEMES = {
  light: {
    background: "#ffffff", foreground: "#1f2328", cursor: "#1f2328", cursorAccent: "#ffffff",
    selectionBackground: "#b6d7ff", black: "#1f2328", red: "#b42318", green: "#1a7031",
    yellow: "#7a5200", blue: "#0a58b0", magenta: "#7a3cb0", cyan: "#0b6b75", white: "#57606a",
    brightBlack: "#57606a", brightRed: "#c2231c", brightGreen: "#1a7f37", brightYellow: "#805300",
    brightBlue: "#0969da", brightMagenta: "#8250df", brightCyan: "#0b7285", brightWhite: "#24292f",
  },
  dark: {
    background: "#101215", foreground: "#e6e9ec", cursor: "#e6e9ec", cursorAccent: "#101215",
    selectionBackground: "#2f4a6b", black: "#7d8590", red: "#ff7b72", green: "#56c271",
    yellow: "#e5b242", blue: "#79b0f2", magenta: "#d2a8ff", cyan: "#56d4dd", white: "#e6e9ec",
    brightBlack: "#9aa5b1", brightRed: "#ffa198", brightGreen: "#7ee787", brightYellow: "#f0c75e",
    brightBlue: "#a5d0ff", brightMagenta: "#e2c5ff", brightCyan: "#8ae6ec", brightWhite: "#ffffff",
  },
};
const find = (selector, within = document) => within.querySelector(selector);
const place = document.body.dataset.place;
const sockets = `ws://${location.host}${place}`;
const dark = matchMedia("(prefers-color-scheme: dark)");
const terminals = new Map();
let live, told = null, active = 0, ended = false, asked = false;

// The page's policy lets in no style but ours; xterm.js makes its own, which get our nonce.
const nonce = find("#style").nonce;
const make = document.createElement.bind(document);
document.createElement = (name, options) => {
  const element = make(name, options);
  if (name === "style") element.nonce = nonce;
  return element;
};

function element(name, text = "", attributes = {}) {
  const made = make(name);
  made.textContent = text;
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  return made;
}

// A sentence, in which what stands between backticks is code.
function prose(name, sentence, attributes = {}) {
  const made = element(name, "", attributes);
  sentence.split(/`([^`\n]+)`/).forEach((piece, n) => {
    made.append(n % 2 ? element("code", piece) : piece);
  });
  return made;
}

// --- What is known of the lab.

function connect() {
  live = new WebSocket(`${sockets}/live`);
  live.onmessage = (message) => show(JSON.parse(message.data));
  live.onclose = (event) => {
    if (STOPPED.includes(event.code)) ended = true;
    status(ended ? "labwright has ended. You can close this page." :
      "The connection to labwright is lost. Trying again.", true);
    if (!ended) setTimeout(connect, RETRY_MS);
  };
}

function ask(what, more = {}) {
  if (live.readyState === WebSocket.OPEN) live.send(JSON.stringify({ do: what, ...more }));
}

function status(words, alert = false) {
  const line = find("#status");
  if (line.textContent !== words) line.textContent = words;
  line.classList.toggle("alert", alert);
}

function show(now) {
  const before = told;
  told = now;
  find("#points").textContent = now.points;
  document.title = `${now.points} of ${now.most}: ${find(".title").textContent}`;
  for (const [id, step] of Object.entries(now.steps)) showStep(id, step, before?.steps[id]);
  showNext(now);
  showActions(now);
  showTerminals(now.terminals);
  say(now, before);
}

function say(now, before) {
  if (now.gone) return status("hidden" in document.body.dataset ? "The machine is gone." : `The machine is gone: ${now.gone}`, true);
  if (now.no_terminal) return status(`No terminal: ${now.no_terminal}`, true);
  if (now.traffic) return status(`Sending traffic to the service: ${now.traffic}.`);
  // What is news: what has become right, and what is right no longer.
  const changed = before ? Object.keys(now.steps).filter((id) => {
    const was = before.steps[id].outcome, is = now.steps[id].outcome;
    return is !== was && was !== "waiting" && (is === "passed" || was === "passed");
  }) : [];
  if (changed.length) {
    const words = changed.map((id) => `${now.steps[id].outcome}: ${titleOf(id)}`);
    return status(`${words.join("; ")}. ${now.points} of ${now.most} points.`);
  }
  const line = find("#status");
  const counted = !before || before.gone || before.traffic || line.textContent.startsWith(FOLLOWING);
  if (counted || line.classList.contains("alert")) status(`${FOLLOWING} ${now.passed} of ${Object.keys(now.steps).length} steps passed.`);
  return undefined;
}

const titleOf = (id) => find(`[data-dot="${id}"]`)?.title ?? id;

function showStep(id, step, before) {
  const dot = find(`[data-dot="${id}"]`);
  dot.dataset.outcome = step.outcome;
  dot.setAttribute("aria-label", `${dot.title}: ${step.outcome}`);
  const section = find(`[data-step="${id}"]`);
  if (!section || JSON.stringify(step) === JSON.stringify(before)) return;
  section.dataset.outcome = step.outcome;
  find("[data-word]", section).textContent = step.outcome;
  find("[data-points]", section).textContent = step.points;
  const verdict = verdictOf(id, step);
  find("[data-verdict]", section).replaceChildren(...(verdict ? [verdict] : []));
}

function verdictOf(id, step) {
  const box = element("div", "", { class: `verdict ${step.outcome}` });
  if (step.expected) {
    const list = element("dl");
    list.append(element("dt", "Expected"), prose("dd", step.expected),
      element("dt", "Seen"), prose("dd", step.actual));
    box.append(list);
  }
  if (step.reason) box.append(prose("p", step.reason));
  if (step.changing) box.append(prose("p", `Changing: ${step.changing}.`));
  if (step.unsettled) box.append(prose("p", `This may not hold at the moment: ${step.unsettled}`));
  if (step.hints.length) box.append(hints(id, step.hints));
  if (step.sends && step.outcome !== "passed" && step.outcome !== "blocked") {
    const note = element("p", "It is checked by sending requests through the service.");
    box.append(note);
  }
  for (const picture of step.pictures) {
    box.append(element("img", "", { src: picture.at, alt: picture.words, class: "picture" }));
  }
  return box.childNodes.length ? box : null;
}

const given = new Map(); // how many stages of a step's hint have been asked for

function hints(id, stages) {
  const box = element("div");
  const fill = (focus) => {
    const count = Math.min(given.get(id) ?? 0, stages.length);
    const rows = stages.slice(0, count).map((stage) => prose("p", stage, { tabindex: "-1" }));
    box.replaceChildren(...rows);
    if (count < stages.length) {
      const more = element("button", count ? "Show more of the hint" : "Show a hint", { type: "button" });
      more.onclick = () => { given.set(id, count + 1); fill(true); };
      box.append(more);
    }
    if (focus) rows.at(-1).focus();
  };
  fill(false);
  return box;
}

function showNext(now) {
  for (const section of document.querySelectorAll(".step")) {
    section.classList.toggle("next", section.dataset.step === now.next);
  }
  for (const dot of document.querySelectorAll("[data-dot]")) {
    if (dot.dataset.dot === now.next) dot.setAttribute("aria-current", "step");
    else dot.removeAttribute("aria-current");
  }
  const next = find("#next");
  next.hidden = !now.next;
  next.href = `#step-${now.next}`;
  next.textContent = `Next: ${now.next ? titleOf(now.next) : ""}`;
}

function showActions(now) {
  const finish = find("#finish");
  if (finish) {
    finish.disabled = now.finishing;
    finish.textContent = now.finishing ? "Grading" : now.report ? "Grade again" : "Finish";
    finish.classList.toggle("ready", !now.next);
    find("#traffic").disabled = Boolean(now.traffic);
    find("#traffic").hidden = !now.sends_traffic;
    find("#hand-in").hidden = !now.report;
  }
  find("#report").hidden = !now.report;
}

// --- Terminals.

function showTerminals(numbers) {
  if (!find("#terminals")) return;
  for (const number of numbers) if (!terminals.has(number)) open(number);
  for (const number of [...terminals.keys()]) if (!numbers.includes(number)) forget(number);
  if (!terminals.has(active) && numbers.length) choose(numbers.at(-1));
  if (asked && numbers.length) {
    asked = false;
    choose(numbers.at(-1));
    focusTerminal();
  }
  find("#close").disabled = !numbers.length;
}

function open(number) {
  const tab = element("button", `Terminal ${number}`, {
    type: "button", role: "tab", id: `tab-${number}`, "aria-controls": `panel-${number}`,
  });
  const panel = element("div", "", {
    class: "panel", role: "tabpanel", id: `panel-${number}`, "aria-labelledby": `tab-${number}`,
  });
  find("#tabs").append(tab);
  find("#panels").append(panel);
  const screen = new Terminal({
    fontSize: 13, scrollback: 5000, screenReaderMode: true, theme: THEMES[dark.matches ? "dark" : "light"],
    fontFamily: getComputedStyle(document.documentElement).getPropertyValue("--mono"),
    linkHandler: { activate() {} }, // a machine's links are not followed
  });
  const fit = new FitAddon();
  screen.loadAddon(fit);
  screen.open(panel);
  screen.textarea.setAttribute("aria-label", `Terminal ${number}; F6 leaves it`);
  screen.attachCustomKeyEventHandler((event) => event.key !== "F6");
  const one = { tab, panel, screen, fit, socket: null, replaying: true };
  terminals.set(number, one);
  screen.onData((typed) => { if (!one.replaying) type(one, typed); });
  screen.onResize(({ cols, rows }) => tell(one, { columns: cols, rows }));
  tab.onclick = () => { choose(number); focusTerminal(); };
  new ResizeObserver(() => { if (panel.offsetWidth && !panel.hidden) fit.fit(); }).observe(panel);
  attach(number, one);
}

function attach(number, one) {
  const socket = new WebSocket(`${sockets}/terminal/${number}`);
  socket.binaryType = "arraybuffer";
  one.socket = socket;
  one.replaying = true;
  let first = true;
  socket.onopen = () => {
    one.screen.reset();
    if (one.panel.offsetWidth) one.fit.fit();
    tell(one, { columns: one.screen.cols, rows: one.screen.rows });
  };
  socket.onmessage = (message) => {
    // What is shown again must not be answered again: programs ask terminals questions.
    const again = first;
    first = false;
    one.screen.write(new Uint8Array(message.data), () => { if (again) one.replaying = false; });
  };
  socket.onclose = (event) => {
    const over = [ENDED, UNKNOWN].includes(event.code) || ended;
    if (!over && terminals.get(number) === one) setTimeout(() => attach(number, one), RETRY_MS);
  };
}

function tell(one, message) {
  if (one.socket?.readyState === WebSocket.OPEN) one.socket.send(JSON.stringify(message));
}

function type(one, typed) {
  tell(one, { typed });
}

function forget(number) {
  const { tab, panel, screen, socket } = terminals.get(number);
  terminals.delete(number);
  socket.close();
  screen.dispose();
  tab.remove();
  panel.remove();
}

function choose(number) {
  active = number;
  for (const [other, { tab, panel, fit }] of terminals) {
    const chosen = other === number;
    tab.setAttribute("aria-selected", String(chosen));
    tab.tabIndex = chosen ? 0 : -1;
    panel.hidden = !chosen;
    if (chosen && panel.offsetWidth) fit.fit();
  }
}

function focusTerminal() {
  pane("terminals");
  const one = terminals.get(active);
  if (one) one.screen.focus();
  else find("#terminals")?.focus();
}

function pane(name) {
  document.body.classList.toggle("shows-terminals", name === "terminals");
  for (const button of document.querySelectorAll("[data-pane]")) {
    button.setAttribute("aria-pressed", String(button.dataset.pane === name));
  }
}

function run(typed) {
  const one = terminals.get(active);
  if (!one) return ask("open");
  focusTerminal();
  one.screen.paste(typed);
  type(one, "\r");
  return undefined;
}

// --- What the student does.

async function copy(button, typed) {
  try {
    await navigator.clipboard.writeText(typed);
    button.textContent = "Copied";
  } catch {
    button.textContent = "Not copied";
  }
  setTimeout(() => { button.textContent = "Copy"; }, 1500);
}

document.addEventListener("click", (event) => {
  const button = event.target.closest("button, #next, [data-dot]");
  if (!button) return;
  const typed = button.closest("[data-typed]")?.dataset.typed;
  if ("copy" in button.dataset) copy(button, typed);
  else if ("run" in button.dataset) run(typed);
  else if (button.dataset.pane) {
    pane(button.dataset.pane);
    if (button.dataset.pane === "terminals") focusTerminal();
  } else if (button.id === "traffic" || button.id === "finish") ask(button.id);
  else if (button.id === "open") { asked = true; ask("open"); }
  else if (button.id === "close") ask("close", { number: active });
  else if (button.id === "next" || button.dataset.dot) pane("document");
});

document.addEventListener("keydown", (event) => {
  if (event.key === "F6" && find("#terminals")) {
    event.preventDefault();
    if (find("#terminals").contains(document.activeElement)) {
      pane("document");
      find("#document").focus();
    } else focusTerminal();
  }
  const tab = event.target.closest?.('[role="tab"]');
  const step = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
  if (tab && step) {
    const numbers = [...terminals.keys()];
    const next = numbers.at((numbers.indexOf(active) + step) % numbers.length);
    choose(next);
    terminals.get(next).tab.focus();
  }
});

dark.addEventListener("change", () => {
  for (const { screen } of terminals.values()) screen.options.theme = THEMES[dark.matches ? "dark" : "light"];
});
addEventListener("pagehide", () => { if (find("#terminals")) navigator.sendBeacon(`${place}/bye`); });
addEventListener("pageshow", (event) => { if (event.persisted) location.reload(); });
connect();
