"use strict";
// Comfort only: everything can be read without this script.
(() => {
  const all = (selector) => [...document.querySelectorAll(selector)];
  const steps = all("details.step");
  const buttons = all("[data-show]");

  const show = (outcome) => {
    for (const button of buttons) {
      button.setAttribute("aria-pressed", String(button.dataset.show === outcome));
    }
    for (const group of all(".group")) {
      group.hidden = outcome !== "" && group.dataset.outcome !== outcome;
    }
  };

  // A link to a step opens it, and shows it even where a filter hid it.
  const reveal = () => {
    const step = document.getElementById(location.hash.slice(1));
    if (!step || !step.matches("details.step")) return;
    if (step.closest(".group").hidden) show("");
    step.open = true;
    step.scrollIntoView();
  };

  for (const button of buttons) {
    button.addEventListener("click", () => show(button.dataset.show));
  }
  document.getElementById("open").addEventListener("click", () => steps.forEach((s) => { s.open = true; }));
  document.getElementById("close").addEventListener("click", () => steps.forEach((s) => { s.open = false; }));
  addEventListener("hashchange", reveal);
  reveal();

  // Paper has nothing to click: everything is open on it, for browsers whose style sheets
  // cannot open details.
  let closed = [];
  addEventListener("beforeprint", () => {
    closed = all("details:not([open])");
    closed.forEach((details) => { details.open = true; });
  });
  addEventListener("afterprint", () => closed.forEach((details) => { details.open = false; }));

  document.getElementById("tools").hidden = steps.length === 0;
})();
