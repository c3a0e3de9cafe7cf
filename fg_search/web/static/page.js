// Comfort for those who have JavaScript: every form and link works without it.
"use strict";

const STORED = "fg-search-shortcuts";
const FIELDS = "input:not([type=checkbox]):not([type=range]), textarea, select, [contenteditable]";

document.documentElement.classList.add("script");

// The figure beside a slider follows it.
for (const output of document.querySelectorAll("output[for]")) {
  const slider = document.getElementById(output.htmlFor.toString());
  const show = () => { output.value = Number(slider.value).toFixed(2); };
  slider.addEventListener("input", show);
  show();
}

// A box that ticks all others of a name; Shift ticks those between two. The number of ticked ones stands beside it, and
// what needs some waits for them.
for (const all of document.querySelectorAll("[data-all]")) {
  const boxes = [...all.form.elements].filter((one) => one.name === all.dataset.all);
  const count = all.form.querySelector("[data-count]");
  const name = count?.textContent;
  let latest = -1;
  const show = () => {
    const ticked = boxes.filter((box) => box.checked).length;
    all.checked = ticked === boxes.length;
    all.indeterminate = ticked > 0 && ticked < boxes.length;
    for (const button of all.form.querySelectorAll(`[data-needs=${all.dataset.all}]`)) button.disabled = !ticked;
    if (count) count.textContent = ticked === 1 ? count.dataset.one : ticked ? `${ticked} ${name}` : name;
  };
  all.addEventListener("change", () => {
    for (const box of boxes) box.checked = all.checked;
    show();
  });
  for (const [place, box] of boxes.entries()) {
    box.addEventListener("click", (event) => {
      if (event.shiftKey && latest >= 0) {
        const [from, to] = [Math.min(latest, place), Math.max(latest, place)];
        for (const between of boxes.slice(from, to + 1)) between.checked = box.checked;
      }
      latest = place;
      show();
    });
  }
  addEventListener("pageshow", show);
}

// Single keys can be switched off: speech input would press them by accident.
function shortcutsAreOn() {
  try {
    return localStorage.getItem(STORED) !== "off";
  } catch {
    return true; // no storage, no memory of a choice
  }
}

const choice = document.getElementById("shortcuts");
if (choice) {
  choice.checked = shortcutsAreOn();
  choice.addEventListener("change", () => {
    try {
      localStorage.setItem(STORED, choice.checked ? "on" : "off");
    } catch {
      // it holds until the page is left
    }
  });
}

// A decision is on its way: a key held down must not decide about an item twice.
let isLeaving = false;
addEventListener("submit", (event) => {
  if (isLeaving) event.preventDefault();
  else if (!event.submitter?.hasAttribute("data-stays")) isLeaving = true; // a file comes, and the page stays
});
addEventListener("pageshow", () => { isLeaving = false; });

addEventListener("keydown", (event) => {
  if (event.key === "Escape") {
    if (event.target.matches?.(FIELDS)) event.target.blur();
    for (const over of document.querySelectorAll(".keys[open], .who[open]")) over.open = false;
  }
  if (event.ctrlKey || event.altKey || event.metaKey || event.repeat || event.defaultPrevented) return;
  if (isLeaving || event.target.matches?.(FIELDS) || !(choice ? choice.checked : shortcutsAreOn())) return;
  const wanted = [...document.querySelectorAll("[data-key]")].find((one) => one.dataset.key === event.key);
  if (!wanted) {
    if (event.key === "/") location.assign("/");
    return;
  }
  event.preventDefault();
  if (wanted.matches(FIELDS)) wanted.focus();
  else {
    wanted.click();
    if (wanted.matches("summary")) wanted.focus();
  }
});

// A job that is running: its bar moves, and the page comes anew once it has ended.
const running = document.querySelector("[data-job]");
async function follow() {
  const jobs = await fetch("/api/jobs").then((response) => (response.ok ? response.json() : null)).catch(() => null);
  const job = jobs?.find((one) => one.id === running.dataset.job);
  if (jobs && job?.state !== "running") return location.reload(); // a server that was started anew knows none
  if (job) {
    const bar = running.querySelector("progress");
    if (job.total) Object.assign(bar, { max: job.total, value: job.done });
    else bar.removeAttribute("value");
    running.querySelector("#job-task").textContent = job.told;
  }
  setTimeout(follow, 500);
}
if (running) follow();
