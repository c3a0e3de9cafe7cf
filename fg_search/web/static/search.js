// Search while one types; without it, Enter does the same.
"use strict";

const OFF = "fg-search-typing";
const REST = 250; // milliseconds without a key until a search
const SLOW = 500; // milliseconds of an answer from which Enter is better

const form = document.querySelector(".ask");
const field = document.getElementById("q");
const found = document.getElementById("found");
const said = document.getElementById("said");
const typing = document.getElementById("typing");

let timer = 0;
let request = null; // on its way
let asked = null; // address whose answer is shown
let logged = null; // address that the log knows
let isLeft = false; // whether the reader has gone on from the field

function stored() {
  try {
    return localStorage.getItem(OFF) !== "off";
  } catch {
    return true;
  }
}

typing.checked = stored();
typing.addEventListener("change", () => {
  try {
    localStorage.setItem(OFF, typing.checked ? "on" : "off");
  } catch {
    // it holds until the page is left
  }
});

function address() {
  return `/?${new URLSearchParams(new FormData(form))}`;
}

// Whoever goes on to the answer has asked the question: the log gets to know it, once.
function log() {
  if (!form.dataset.logs || asked === null || asked === logged || !field.value.trim()) return;
  fetch(asked, { keepalive: true }).catch(() => {});
  logged = asked;
}

async function search() {
  timer = 0;
  const wanted = address();
  request?.abort(); // its answer would be shown for what is asked now
  request = null;
  if (wanted === asked) {
    if (isLeft) log();
    return;
  }
  request = new AbortController();
  const begun = performance.now();
  try {
    const response = await fetch(wanted, { headers: { "Fg-Typing": "1" }, signal: request.signal });
    if (response.redirected || !(response.ok || response.status === 422)) throw new Error("no answer");
    found.innerHTML = await response.text();
  } catch (error) {
    if (error.name === "AbortError") return;
    request = null;
    pause("Press Enter to search.");
    return;
  }
  request = null;
  const { said: heard, title } = found.firstElementChild.dataset;
  asked = wanted;
  said.textContent = heard;
  document.title = title;
  history.replaceState(null, "", wanted);
  if (isLeft) log();
  if (performance.now() - begun > SLOW) pause("Answers take a while here: press Enter to search.");
}

// until the page is loaded again
function pause(why) {
  form.removeEventListener("input", later);
  field.removeEventListener("compositionend", later);
  const hint = document.getElementById("paused");
  hint.textContent = why;
  hint.hidden = false;
}

function later(event) {
  if (!typing.checked || event.isComposing || event.target === typing) return;
  clearTimeout(timer);
  timer = setTimeout(search, REST);
}

form.addEventListener("input", later);
field.addEventListener("compositionend", later);
form.addEventListener("submit", () => {
  clearTimeout(timer);
  request?.abort();
  logged = asked; // it is asked again, as a question
});

form.addEventListener("focusin", () => { isLeft = false; });
form.addEventListener("focusout", (event) => {
  if (form.contains(event.relatedTarget)) return;
  isLeft = true;
  if (timer) {
    clearTimeout(timer);
    search(); // for what was typed last
  } else if (!request) log(); // else once its answer is there
});
