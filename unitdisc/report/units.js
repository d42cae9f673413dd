// The list of units, what is known of the chosen one, and the map.

const list = byId("units");
const panel = byId("unit");
const listed = new Map();
const discs = new Map();
let chosenUnit = null;

const orders = {
  count: (one, other) => other.count - one.count,
  name: (one, other) => one.name.localeCompare(other.name, "en", { numeric: true }),
  duration: (one, other) => other.duration - one.duration,
  label: (one, other) => (one.labels[0]?.[0] ?? "~").localeCompare(other.labels[0]?.[0] ?? "~", "en") || other.count - one.count,
};

function swatch(name) {
  return el("span", { class: "swatch", "aria-hidden": "true", style: { background: colour(name) } });
}

function topLabel(unit) {
  return unit.labels.length ? `${unit.labels[0][0]} ${percent(unit.labels[0][1])}` : "";
}

function listUnits() {
  for (const unit of data.units) {
    const row = el(
      "button",
      { type: "button", tabindex: "-1", "data-unit": unit.name, onclick: () => openUnit(unit.name, { isListed: true }) },
      swatch(unit.name),
      el("strong", {}, el("span", { class: "hidden" }, "unit "), unit.name),
      el("span", { class: "faint" }, topLabel(unit)),
      el("span", { class: "faint" }, unit.count.toLocaleString("en")),
    );
    listed.set(unit.name, row);
  }
  roving(list, { isUpright: true });
  orderUnits("count");
}

function orderUnits(name) {
  list.replaceChildren(...[...data.units].sort(orders[name]).map((unit) => listed.get(unit.name)));
  stopAt(list, listed.get(chosenUnit?.name) ?? list.firstChild);
}

/** Show a unit. From the list the focus stays there, from elsewhere it goes to the unit's heading. */
function openUnit(name, { isListed = false, isQuiet = false } = {}) {
  const unit = unitsByName.get(name);
  if (!unit) {
    byId("told").textContent = `Unit ${name} is not among the units that are shown.`;
    return;
  }
  stop();
  listed.get(chosenUnit?.name)?.removeAttribute("aria-current");
  discs.get(chosenUnit?.name)?.classList.remove("open");
  chosenUnit = unit;
  const row = listed.get(name);
  row.setAttribute("aria-current", "true");
  stopAt(list, row);
  if (!isListed) list.scrollTop = row.offsetTop - list.clientHeight / 2;
  discs.get(name).classList.add("open");
  const heading = el("h3", { tabindex: "-1" }, `Unit ${name} `, swatch(name));
  panel.replaceChildren(heading, facts(unit), relations(unit), examples(unit));
  markSame(name);
  if (isQuiet) return;
  byId("told").textContent = `Unit ${name}: ${count(unit.count, "step", "steps")} ${topLabel(unit)}`;
  if (isListed) return;
  heading.focus({ preventScroll: true });
  panel.scrollIntoView({ block: "nearest", behavior: isCalm.matches ? "auto" : "smooth" });
}

function fact(name, value) {
  return el("div", {}, el("dt", {}, name), el("dd", {}, value));
}

function facts(unit) {
  const all = [fact("Steps", `${unit.count.toLocaleString("en")} (${percent(unit.count / data.total)})`)];
  if (data.kind !== "picture") {
    all.push(fact("Occurrences", unit.occurrences.toLocaleString("en")));
    all.push(fact("Mean duration", lasting(unit.duration)));
  }
  if (unit.labels.length) all.push(fact("Purity", percent(unit.labels[0][1])));
  return el("dl", { class: "facts" }, ...all);
}

function relations(unit) {
  const columns = el("div", { class: "columns" });
  if (unit.labels.length) columns.append(shares(`Top ${data.labels}`, unit.labels));
  if (unit.nearest.length) {
    const near = unit.nearest.map(([name, distance]) =>
      el("li", {}, button("", () => openUnit(name), { title: `distance ${distance}` })),
    );
    near.forEach((item, number) => item.firstChild.append(swatch(unit.nearest[number][0]), unit.nearest[number][0]));
    columns.append(el("div", {}, el("h4", {}, "Nearest units"), el("ul", { class: "chips" }, ...near)));
  }
  if (unit.beside.length) columns.append(shares(`In the same places of ${data.beside}`, unit.beside));
  return columns;
}

function shares(title, rows) {
  const body = rows.map(([name, share]) =>
    el(
      "tr", {}, el("th", { scope: "row" }, name), el("td", { class: "number" }, percent(share)),
      el("td", { "aria-hidden": "true" }, el("span", { class: "bar", style: { width: `${8 * share}rem` } })),
    ),
  );
  return el("div", {}, el("h4", {}, title), el("table", {}, el("tbody", {}, ...body)));
}

function examples(unit) {
  if (!unit.examples.length) return el("p", { class: "faint" }, "No example of this unit is on the page.");
  const shown = unit.examples.map(([clip, number]) => example(data.clips[clip], clip, number));
  return el("div", {}, el("h4", {}, "Examples"), el("div", { class: "examples" }, ...shown));
}

function example(clip, place, number) {
  const found = occurrence(clip, number);
  const labels = labelsIn(clip, found.begin, found.end).join(" ");
  const lasts = data.kind === "picture" ? "" : `, ${lasting(found.end - found.begin)}`;
  const where = data.kind === "picture" ? clip.key : `${clip.key} at ${at(clip.start + found.begin)}${lasts}`;
  const buttons = el("div", { class: "buttons" });
  if (clip.sound) {
    const [from, to] = around(clip, found);
    const hear = (text, begin, end, says) =>
      button(text, (event) => play(clip, begin, end, event.currentTarget), { "aria-pressed": "false", "aria-label": says });
    buttons.append(
      hear("Play", from, to, `Play unit ${found.name} with its surroundings in ${clip.key}`),
      hear("Unit alone", found.begin, found.end, `Play unit ${found.name} alone in ${clip.key}`),
    );
  }
  buttons.append(
    button(`Whole ${data.one}`, () => openClip(place, { number, isFocused: true }), { "aria-label": `Show the whole ${data.one} ${clip.key}` }),
  );
  const caption = el("figcaption", {}, where, labels ? el("span", {}, ", ", el("strong", {}, labels)) : "");
  return el("figure", {}, cutOut(clip, number), caption, buttons);
}

function drawMap() {
  const largest = Math.max(...data.units.map((unit) => unit.count));
  for (const [x, y] of data.unused) byId("map").append(svg("circle", { class: "idle", cx: 100 * x, cy: -100 * y, r: 1.5 }));
  for (const unit of data.units) {
    const disc = svg(
      "circle",
      {
        cx: 100 * unit.place[0], cy: -100 * unit.place[1], r: 1.2 + 7 * Math.sqrt(unit.count / largest),
        fill: colour(unit.name), onclick: () => openUnit(unit.name),
      },
      svg("title", {}, `unit ${unit.name}: ${percent(unit.count / data.total)} ${topLabel(unit)}`),
    );
    discs.set(unit.name, disc);
    byId("map").append(disc);
  }
}
