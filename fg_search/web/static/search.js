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
let unlogged = null; // address that was searched for while typing alone

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

async function search() {
  const wanted = address();
  request?.abort(); // its answer would be shown for what is asked now
  if (wanted === asked) return;
  request = new AbortController();
  const begun = performance.now();
  try {
    const response = await fetch(wanted, { headers: { "Fg-Typing": "1" }, signal: request.signal });
    if (response.redirected || !(response.ok || response.status === 422)) throw new Error("no answer");
    found.innerHTML = await response.text();
  } catch (error) {
    if (error.name !== "AbortError") pause("Press Enter to search.");
    return;
  }
  const { said: heard, title } = found.firstElementChild.dataset;
  asked = wanted;
  unlogged = field.value.trim() ? wanted : null;
  said.textContent = heard;
  document.title = title;
  history.replaceState(null, "", wanted);
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
  unlogged = null; // it is asked again, as a question
});

// Whoever goes on to the answer has asked the question: the log gets to know it, once.
form.addEventListener("focusout", (event) => {
  if (!form.dataset.logs || unlogged === null || form.contains(event.relatedTarget)) return;
  fetch(unlogged, { keepalive: true }).catch(() => {});
  unlogged = null;
});
