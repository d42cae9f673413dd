// What all scripts of the page share: the data, elements, words for numbers.

const data = JSON.parse(document.getElementById("data").textContent);
const unitsByName = new Map(data.units.map((unit) => [unit.name, unit]));
const isCalm = matchMedia("(prefers-reduced-motion: reduce)");

function byId(id) {
  return document.getElementById(id);
}

function fill(node, attributes, children) {
  for (const [name, value] of Object.entries(attributes)) {
    if (name.startsWith("on")) node.addEventListener(name.slice(2), value);
    else if (name === "style") Object.assign(node.style, value);
    else node.setAttribute(name, value);
  }
  node.append(...children);
  return node;
}

function el(tag, attributes = {}, ...children) {
  return fill(document.createElement(tag), attributes, children);
}

function svg(tag, attributes = {}, ...children) {
  return fill(document.createElementNS("http://www.w3.org/2000/svg", tag), attributes, children);
}

function button(text, onclick, attributes = {}) {
  return el("button", { type: "button", class: "plain", onclick, ...attributes }, text);
}

function percent(share) {
  return `${(100 * share).toFixed(share < 0.1 ? 1 : 0)} %`;
}

function count(number, one, many) {
  return `${number.toLocaleString("en")} ${number === 1 ? one : many}`;
}

function lasting(time) {
  if (data.time === "second") return time < 1 ? `${Math.round(1000 * time)} ms` : `${time.toFixed(2)} s`;
  return `${Number(time.toFixed(1))} ${data.time}s`;
}

function at(time) {
  return data.time === "second" ? `${time.toFixed(2)} s` : `${data.time} ${Math.round(time)}`;
}

function colour(name) {
  return data.colours[name] ?? "#dddddd";
}

function bytes(base64) {
  return Uint8Array.from(atob(base64), (letter) => letter.charCodeAt(0));
}

/** The occurrence of a unit with this number in a clip: its name, begin and end. */
function occurrence(clip, number, units = clip.units) {
  return { name: units[number][0], begin: number ? units[number - 1][1] : 0, end: units[number][1] };
}

/** Labels that a span meets, in order. */
function labelsIn(clip, begin, end) {
  return clip.labels.filter(([from, to]) => to > begin && from < end).map(([, , name]) => name);
}

function clipTitle(clip) {
  const isWhole = clip.start === 0 && clip.length === clip.whole;
  return isWhole ? clip.key : `${clip.key}, ${at(clip.start)} to ${at(clip.start + clip.length)}`;
}

/** One stop of the Tab key for all buttons of a toolbar; arrow keys go from one to the next. */
function roving(toolbar, { columns = 1, isUpright = false } = {}) {
  const shown = () => [...toolbar.querySelectorAll("button")].filter((one) => !one.hidden);
  toolbar.addEventListener("keydown", (event) => {
    const all = shown();
    const here = all.indexOf(document.activeElement);
    const steps = isUpright
      ? { ArrowUp: -1, ArrowDown: 1, PageUp: -10, PageDown: 10 }
      : { ArrowLeft: -1, ArrowRight: 1, ArrowUp: -columns, ArrowDown: columns, PageUp: -10, PageDown: 10 };
    const places = { Home: 0, End: all.length - 1 };
    const wanted = places[event.key] ?? (event.key in steps ? here + steps[event.key] : undefined);
    if (here < 0 || wanted === undefined) return;
    event.preventDefault();
    const next = all[Math.min(Math.max(wanted, 0), all.length - 1)];
    stopAt(toolbar, next);
    next.focus();
  });
}

/** Let the Tab key stop at this button of a toolbar. */
function stopAt(toolbar, chosen) {
  for (const one of toolbar.querySelectorAll('button[tabindex="0"]')) one.tabIndex = -1;
  if (chosen) chosen.tabIndex = 0;
}
