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
  else isLeaving = true;
});
addEventListener("pageshow", () => { isLeaving = false; });

addEventListener("keydown", (event) => {
  if (event.key === "Escape" && event.target.matches?.(FIELDS)) event.target.blur();
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
