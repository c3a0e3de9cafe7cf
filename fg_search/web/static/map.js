// The map: dots are blended into an image of our own, which takes milliseconds for 100,000 of them.
"use strict";

const FINEST = 65535;
const UNKNOWN = 255;
const FARTHEST = 0.5; // zoom
const NEAREST = 200;
const STEP = 0.1; // of the view, for a press of an arrow key
const NEAR = 10; // pixels between a pointer and the dot it means
const MARGIN = 0.92; // of the view that all items fill
const BUCKETS = 64; // of a side, to find dots by place
const LONGEST = 60; // milliseconds without a move until the address follows
const AGAIN = 1500; // milliseconds between two questions whether all items are placed

const canvas = document.getElementById("map");
const context = canvas.getContext("2d", { alpha: false });
const box = canvas.parentElement;
const tip = document.getElementById("tip");
const here = document.getElementById("here");
const open = document.getElementById("open");
const colour = document.getElementById("colour");
const places = JSON.parse(canvas.dataset.places).map(([name, x, y]) => ({ name, x: x / canvas.dataset.size, y: y / canvas.dataset.size }));
const names = JSON.parse(canvas.dataset.names);
const steps = JSON.parse(canvas.dataset.steps);
const hues = Number(canvas.dataset.hues);

const map = { n: 0, view: { x: 0.5, y: 0.5, zoom: 1 }, brush: null, mode: "select", only: canvas.dataset.only || null };

function read(buffer, n) {
  const words = (column) => new Uint16Array(buffer, column * 2 * n, n);
  const bytes = (column) => new Uint8Array(buffer, 6 * n + column * n, n);
  return { n, x: words(0), y: words(1), label: words(2), confidence: bytes(0), familiarity: bytes(1), wrong: bytes(2), gone: bytes(3) };
}

// --- colours ---------------------------------------------------------------------------------------------------------

function rgb(name) {
  const [, digits] = getComputedStyle(canvas).getPropertyValue(name).trim().match(/^#([0-9a-f]{6})$/i) ?? [];
  const value = Number.parseInt(digits ?? "888888", 16);
  return [value >> 16, (value >> 8) & 255, value & 255];
}

function palette() {
  const family = colour.value === "label" ? "hue" : colour.value === "wrong" ? "wrong" : "step";
  const count = family === "hue" ? hues : steps.length + 1;
  return [rgb("--none"), ...Array.from({ length: count }, (_, i) => rgb(`--${family}-${i}`))];
}

// The number of each dot's colour, 0 for none.
function shades() {
  const found = new Uint8Array(map.n);
  const chosen = map.only === null ? -1 : names.indexOf(map.only);
  if (colour.value === "label") {
    for (let i = 0; i < map.n; i++) found[i] = map.label[i] < hues ? map.label[i] + 1 : 0;
  } else {
    const table = new Uint8Array(256);
    for (let value = 0; value < 256; value++) table[value] = value === UNKNOWN ? 0 : 1 + steps.filter((step) => step <= value).length;
    const values = map[colour.value];
    for (let i = 0; i < map.n; i++) found[i] = table[values[i]];
  }
  if (chosen >= 0) for (let i = 0; i < map.n; i++) found[i] = map.label[i] === chosen ? Math.max(found[i], 1) : 0;
  return found;
}

// Dots without a colour are drawn first, below all others.
function recolour() {
  map.palette = palette();
  map.shade = shades();
  const count = map.palette.length;
  const starts = new Uint32Array(count + 1);
  for (let i = 0; i < map.n; i++) if (!map.gone[i]) starts[map.shade[i] + 1]++;
  for (let shade = 0; shade < count; shade++) starts[shade + 1] += starts[shade];
  map.order = new Uint32Array(starts[count]);
  const next = starts.slice();
  for (let i = 0; i < map.n; i++) if (!map.gone[i]) map.order[next[map.shade[i]]++] = i;
  for (const list of document.querySelectorAll("[data-legend]")) list.hidden = list.dataset.legend !== colour.value;
  draw();
}

// --- places ----------------------------------------------------------------------------------------------------------

// pixels of the unit square
const side = () => MARGIN * Math.min(canvas.clientWidth, canvas.clientHeight) * map.view.zoom;
const toScreen = (x, y) => [(x - map.view.x) * side() + canvas.clientWidth / 2, (y - map.view.y) * side() + canvas.clientHeight / 2];
const toMap = (x, y) => [(x - canvas.clientWidth / 2) / side() + map.view.x, (y - canvas.clientHeight / 2) / side() + map.view.y];

function inView() {
  const [left, top] = toMap(0, 0);
  const [right, bottom] = toMap(canvas.clientWidth, canvas.clientHeight);
  return { left, top, right, bottom };
}

function zoom(factor, x = canvas.clientWidth / 2, y = canvas.clientHeight / 2) {
  const [mapX, mapY] = toMap(x, y);
  map.view.zoom = Math.min(Math.max(map.view.zoom * factor, FARTHEST), NEAREST);
  const [nowX, nowY] = toMap(x, y);
  move(mapX - nowX, mapY - nowY);
}

function move(x, y) {
  map.view.x = Math.min(Math.max(map.view.x + x, 0), 1);
  map.view.y = Math.min(Math.max(map.view.y + y, 0), 1);
  draw();
}

function bucket() {
  const place = (i) => Math.min((map.y[i] * BUCKETS) >> 16, BUCKETS - 1) * BUCKETS + Math.min((map.x[i] * BUCKETS) >> 16, BUCKETS - 1);
  map.starts = new Uint32Array(BUCKETS * BUCKETS + 1);
  for (let i = 0; i < map.n; i++) map.starts[place(i) + 1]++;
  for (let b = 0; b < BUCKETS * BUCKETS; b++) map.starts[b + 1] += map.starts[b];
  map.rows = new Uint32Array(map.n);
  const next = map.starts.slice();
  for (let i = 0; i < map.n; i++) map.rows[next[place(i)]++] = i;
}

// The dot nearest to a place on the screen, -1 if none is near enough.
function nearest(x, y, within) {
  const [mapX, mapY] = toMap(x, y);
  const reach = within / side();
  const bound = (value) => Math.min(Math.max(Math.floor(value * BUCKETS), 0), BUCKETS - 1);
  let found = -1;
  let least = reach * reach;
  for (let row = bound(mapY - reach); row <= bound(mapY + reach); row++) {
    for (let column = bound(mapX - reach); column <= bound(mapX + reach); column++) {
      const cell = row * BUCKETS + column;
      for (let k = map.starts[cell]; k < map.starts[cell + 1]; k++) {
        const i = map.rows[k];
        const away = (map.x[i] / FINEST - mapX) ** 2 + (map.y[i] / FINEST - mapY) ** 2;
        if (away <= least && !map.gone[i]) [found, least] = [i, away];
      }
    }
  }
  return found;
}

function countIn(region) {
  const [left, top, right, bottom] = [region.left, region.top, region.right, region.bottom].map((value) => value * FINEST);
  let count = 0;
  for (let i = 0; i < map.n; i++) {
    if (map.x[i] >= left && map.x[i] <= right && map.y[i] >= top && map.y[i] <= bottom && !map.gone[i]) count++;
  }
  return count;
}

// --- drawing ---------------------------------------------------------------------------------------------------------

// How much of each pixel around its middle a dot covers.
function sprite(radius) {
  const reach = Math.ceil(radius);
  const covered = [];
  for (let y = -reach; y <= reach; y++) {
    for (let x = -reach; x <= reach; x++) {
      const share = Math.min(Math.max(radius + 0.5 - Math.hypot(x, y), 0), 1);
      if (share > 0) covered.push([x, y, share * 0.9]);
    }
  }
  return { reach, covered };
}

function paint() {
  const scale = devicePixelRatio || 1;
  const width = Math.round(canvas.clientWidth * scale);
  const height = Math.round(canvas.clientHeight * scale);
  if (canvas.width !== width || canvas.height !== height) [canvas.width, canvas.height] = [width, height];
  if (!width || !height) return;
  if (map.image?.width !== width || map.image.height !== height) map.image = context.createImageData(width, height);
  const pixels = map.image.data;
  const paper = rgb("--surface");
  new Uint32Array(pixels.buffer).fill((255 << 24) | (paper[2] << 16) | (paper[1] << 8) | paper[0]);
  const size = Math.min(Math.max(5 - Math.log10(map.n + 1) * 0.75, 1.3) * map.view.zoom ** 0.25, 6) * scale;
  const { reach, covered } = sprite(size);
  const perStep = (side() * scale) / FINEST;
  const [originX, originY] = toScreen(0, 0).map((value) => value * scale);
  for (const i of map.order) {
    const x = Math.round(originX + map.x[i] * perStep);
    const y = Math.round(originY + map.y[i] * perStep);
    if (x < reach || y < reach || x >= width - reach || y >= height - reach) continue;
    const [red, green, blue] = map.palette[map.shade[i]];
    for (const [dx, dy, share] of covered) {
      const at = ((y + dy) * width + x + dx) * 4;
      pixels[at] += (red - pixels[at]) * share;
      pixels[at + 1] += (green - pixels[at + 1]) * share;
      pixels[at + 2] += (blue - pixels[at + 2]) * share;
    }
  }
  context.putImageData(map.image, 0, 0);
  const ink = getComputedStyle(canvas).getPropertyValue("--ink");
  context.setTransform(scale, 0, 0, scale, 0, 0);
  write(ink);
  context.strokeStyle = ink;
  if (map.brush) {
    const [left, top] = toScreen(map.brush.left, map.brush.top);
    const [right, bottom] = toScreen(map.brush.right, map.brush.bottom);
    context.lineWidth = 1.5;
    context.setLineDash([5, 4]);
    context.strokeRect(left, top, right - left, bottom - top);
    context.globalAlpha = 0.06;
    context.fillStyle = ink;
    context.fillRect(left, top, right - left, bottom - top);
  }
  context.globalAlpha = 1;
  context.setLineDash([]);
  if (map.read >= 0) {
    const [x, y] = toScreen(map.x[map.read] / FINEST, map.y[map.read] / FINEST);
    context.lineWidth = 2;
    context.beginPath();
    context.arc(x, y, size / scale + 4, 0, 2 * Math.PI);
    context.stroke();
  }
  context.setTransform(1, 0, 0, 1, 0, 0);
}

// Names of labels in the middle of their items, the most frequent first, as far as they do not touch one another.
function write(ink) {
  const style = getComputedStyle(canvas);
  context.font = `600 12px ${style.fontFamily}`;
  context.textAlign = "center";
  context.lineJoin = "round";
  context.lineWidth = 4;
  context.strokeStyle = style.getPropertyValue("--surface");
  context.fillStyle = ink;
  const written = [];
  for (const { name, x, y } of places) {
    if (map.only !== null && name !== map.only) continue;
    const [middle, top] = toScreen(x, y);
    const text = name.length > 40 ? `${name.slice(0, 39)}…` : name;
    const half = context.measureText(text).width / 2 + 4;
    if (middle < 0 || middle > canvas.clientWidth || top < 0 || top > canvas.clientHeight) continue;
    const left = Math.min(Math.max(middle, half), canvas.clientWidth - half); // not cut off at a side
    if (written.some((one) => Math.abs(one.top - top) < 18 && Math.abs(one.left - left) < one.half + half)) continue;
    written.push({ left, top, half });
    context.strokeText(text, left, top - 16);
    context.fillText(text, left, top - 16);
  }
}

let isWaiting = false;
let later = 0;
function draw() {
  if (isWaiting || !map.n) return;
  isWaiting = true;
  requestAnimationFrame(() => {
    isWaiting = false;
    paint();
    clearTimeout(later);
    later = setTimeout(settle, LONGEST);
  });
}

// The address and the link to the table follow what is shown.
function settle() {
  const region = map.brush ?? inView();
  const count = countIn(region);
  const all = !map.brush && count === map.order.length;
  open.textContent = all ? "Show all in the table" : `Show ${count.toLocaleString("en")} in the table`;
  const wanted = new URLSearchParams();
  if (map.only !== null) wanted.set("label", map.only);
  if (!all) wanted.set("region", [region.left, region.top, region.right, region.bottom].map((value) => Math.min(Math.max(value, 0), 1).toFixed(4)).join(","));
  open.href = `/items?${wanted}`;
  const shown = new URLSearchParams({ colour: colour.value });
  if (map.only !== null) shown.set("only", map.only);
  const { x, y, zoom: factor } = map.view;
  if (factor !== 1 || x !== 0.5 || y !== 0.5) shown.set("view", [x, y, factor].map((value) => value.toFixed(4)).join(","));
  history.replaceState(null, "", `/map?${shown}`);
}

function reset() {
  map.view = { x: 0.5, y: 0.5, zoom: 1 };
  draw();
}

// --- reading a dot ---------------------------------------------------------------------------------------------------

const number = (value) => (value === UNKNOWN ? "–" : (value / 254).toFixed(2));

function element(name, text, attributes = {}) {
  const made = Object.assign(document.createElement(name), attributes);
  made.textContent = text;
  return made;
}

async function show(row) {
  map.read = row;
  draw();
  if (row < 0) {
    here.replaceChildren(element("p", "No item is there.", { className: "hint" }));
    return;
  }
  const response = await fetch(`/map/items/${canvas.dataset.stamp}/${row}`);
  if (map.read !== row) return; // another one was asked for meanwhile
  if (!response.ok) {
    const why = response.status === 409 ? "The map was drawn anew; reload the page." : "The item is gone.";
    here.replaceChildren(element("p", why, { className: "hint" }));
    return;
  }
  const item = await response.json();
  const labels = element("p", "", { className: "facts" });
  labels.append(element("span", item.label ?? "no label", { className: item.label === null ? "label none" : "label" }));
  if (item.suggested !== null && item.suggested !== item.label && item.wrong >= 0.5) {
    labels.append(element("span", "suggested", { className: "hint" }), element("span", item.suggested, { className: "label" }));
  }
  if (item.is_corrected) labels.append(element("span", "set by a reviewer; placed by the last fit", { className: "hint" }));
  const links = element("p", "", { className: "facts" });
  links.append(element("a", "In the table", { href: item.item }), element("a", "Similar items", { href: item.similar }));
  here.replaceChildren(
    element("p", item.text, { className: "text", dir: "auto" }),
    labels,
    element("p", `Item confidence ${number(map.confidence[row])}, familiarity ${number(map.familiarity[row])}`, { className: "hint" }),
    links,
  );
}

function hover(x, y) {
  const row = nearest(x, y, NEAR);
  tip.hidden = row < 0;
  if (row < 0) return;
  const name = names[map.label[row]] ?? "no label";
  tip.textContent = colour.value === "label" ? name : `${name} · ${number(map[colour.value][row])}`;
  const [dotX, dotY] = toScreen(map.x[row] / FINEST, map.y[row] / FINEST);
  tip.style.left = `${Math.min(dotX + 12, canvas.clientWidth - tip.offsetWidth - 4)}px`;
  tip.style.top = `${Math.max(dotY - 34, 4)}px`;
}

// --- pointers --------------------------------------------------------------------------------------------------------

const pointers = new Map();
let start = null;

canvas.addEventListener("pointerdown", (event) => {
  if (event.button !== 0) return;
  canvas.setPointerCapture(event.pointerId);
  pointers.set(event.pointerId, [event.offsetX, event.offsetY]);
  const selects = (map.mode === "select") !== event.shiftKey && pointers.size === 1;
  start = { x: event.offsetX, y: event.offsetY, selects, moved: false };
  tip.hidden = true;
});

canvas.addEventListener("pointermove", (event) => {
  const before = pointers.get(event.pointerId);
  if (!before) {
    if (event.pointerType === "mouse" && map.n) hover(event.offsetX, event.offsetY);
    return;
  }
  const now = [event.offsetX, event.offsetY];
  if (pointers.size === 2) pinch(event.pointerId, before, now);
  else if (start) {
    start.moved ||= Math.hypot(now[0] - start.x, now[1] - start.y) > 4;
    if (start.moved && start.selects) brush(start.x, start.y, ...now);
    else if (start.moved) move((before[0] - now[0]) / side(), (before[1] - now[1]) / side());
  }
  pointers.set(event.pointerId, now);
});

function pinch(id, before, now) {
  const [, other] = [...pointers].find(([key]) => key !== id);
  const apart = (place) => Math.max(Math.hypot(place[0] - other[0], place[1] - other[1]), 1);
  zoom(apart(now) / apart(before), (now[0] + other[0]) / 2, (now[1] + other[1]) / 2);
  move((before[0] - now[0]) / 2 / side(), (before[1] - now[1]) / 2 / side());
  start = null;
}

function brush(fromX, fromY, toX, toY) {
  const [left, top] = toMap(Math.min(fromX, toX), Math.min(fromY, toY));
  const [right, bottom] = toMap(Math.max(fromX, toX), Math.max(fromY, toY));
  map.brush = { left, top, right, bottom };
  draw();
}

function release(event) {
  pointers.delete(event.pointerId);
  if (start && !start.moved && event.type === "pointerup") {
    map.brush = null;
    show(nearest(event.offsetX, event.offsetY, NEAR));
  }
  start = null;
}
canvas.addEventListener("pointerup", release);
canvas.addEventListener("pointercancel", release);
canvas.addEventListener("pointerleave", () => { tip.hidden = true; });
canvas.addEventListener("dblclick", (event) => zoom(2, event.offsetX, event.offsetY));
canvas.addEventListener("wheel", (event) => {
  event.preventDefault();
  zoom(Math.exp(-event.deltaY * (event.deltaMode ? 0.05 : 0.002)), event.offsetX, event.offsetY);
}, { passive: false });

// --- keys ------------------------------------------------------------------------------------------------------------

const ARROWS = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };

function arrow([x, y], grows) {
  const { left, top, right, bottom } = inView();
  const [stepX, stepY] = [x * STEP * (right - left), y * STEP * (bottom - top)];
  if (!map.brush) move(stepX, stepY);
  else {
    const area = map.brush;
    if (!grows) [area.left, area.top] = [area.left + stepX / 2, area.top + stepY / 2];
    area.right = Math.max(area.right + stepX / 2, area.left);
    area.bottom = Math.max(area.bottom + stepY / 2, area.top);
    draw();
  }
}

const PRESSED = {
  "+": () => zoom(1.5),
  "=": () => zoom(1.5),
  "-": () => zoom(1 / 1.5),
  0: reset,
  b: () => brush(canvas.clientWidth / 4, canvas.clientHeight / 4, (canvas.clientWidth * 3) / 4, (canvas.clientHeight * 3) / 4),
  i: () => {
    const area = map.brush ?? inView();
    show(nearest(...toScreen((area.left + area.right) / 2, (area.top + area.bottom) / 2), side()));
  },
  Escape: () => {
    map.brush = null;
    draw();
  },
  Enter: () => {
    settle();
    location.assign(open.href);
  },
};

canvas.addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.altKey || event.metaKey) return;
  const act = ARROWS[event.key] ? () => arrow(ARROWS[event.key], event.shiftKey) : PRESSED[event.key];
  if (!act) return;
  event.preventDefault();
  act();
});

// --- controls --------------------------------------------------------------------------------------------------------

for (const button of document.querySelectorAll("[data-mode]")) {
  button.addEventListener("click", () => {
    map.mode = button.dataset.mode;
    for (const one of document.querySelectorAll("[data-mode]")) one.setAttribute("aria-pressed", one === button);
    canvas.dataset.dragging = map.mode;
  });
}
for (const button of document.querySelectorAll("[data-zoom]")) button.addEventListener("click", () => zoom(Number(button.dataset.zoom)));
document.querySelector("[data-reset]").addEventListener("click", reset);
colour.addEventListener("change", recolour);
for (const link of document.querySelectorAll("a[data-only]")) {
  link.addEventListener("click", (event) => {
    if (event.ctrlKey || event.metaKey || event.shiftKey) return;
    event.preventDefault();
    map.only = map.only === link.dataset.only ? null : link.dataset.only;
    for (const one of document.querySelectorAll("a[data-only]")) {
      if (one.dataset.only === map.only) one.setAttribute("aria-current", "true");
      else one.removeAttribute("aria-current");
    }
    recolour();
  });
}
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", recolour);
new ResizeObserver(draw).observe(canvas);

fetch("/map/points").then(async (response) => {
  if (!response.ok) return; // the picture stays
  const buffer = await response.arrayBuffer();
  const n = Number(canvas.dataset.count);
  if (buffer.byteLength !== 10 * n) return location.reload(); // it was drawn anew meanwhile
  Object.assign(map, read(buffer, n), { read: -1 });
  const view = canvas.dataset.view.split(",").map(Number);
  if (view.length === 3 && view.every(Number.isFinite)) map.view = { x: view[0], y: view[1], zoom: Math.min(Math.max(view[2], FARTHEST), NEAREST) };
  bucket();
  document.getElementById("picture").remove();
  canvas.hidden = false;
  box.classList.add("drawn");
  recolour();
});

// Some items are shown while all others are being placed. What is in view is in the address, and stays.
async function showAll() {
  const state = await fetch("/map/progress").then((response) => (response.ok ? response.json() : {}), () => ({}));
  if (state.is_whole && !map.brush) location.reload();
  else setTimeout(showAll, AGAIN);
}
if (canvas.hasAttribute("data-unfinished")) setTimeout(showAll, AGAIN);
