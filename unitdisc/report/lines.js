// The reverse view: an utterance, line, picture or sentence with its units and labels.

const lane = byId("line");
const clipList = byId("clip");
/** Pixels per second or column. */
const closest = { sound: 480, line: 4.5 };
let chosenClip = null;
let zoom = 1;
let marked = [];

function listClips(numbers) {
  clipList.replaceChildren(
    ...numbers.map((number) => el("option", { value: number }, clipTitle(data.clips[number]))),
  );
  if (chosenClip && numbers.includes(chosenClip.place)) clipList.value = chosenClip.place;
}

/** Show a clip; `number` is the occurrence to go to. */
function openClip(place, { number = 0, isFocused = false } = {}) {
  stop();
  chosenClip = { clip: data.clips[place], place };
  clipList.value = place;
  drawClip();
  const toolbar = lane.querySelector('[role="toolbar"]');
  const cells = toolbar.querySelectorAll("button");
  stopAt(toolbar, cells[number]);
  if (number) lane.scrollLeft = cells[number].offsetLeft - lane.clientWidth / 2;
  if (!isFocused) return;
  cells[number].focus({ preventScroll: true });
  byId("lines").scrollIntoView({ block: "start", behavior: isCalm.matches ? "auto" : "smooth" });
}

function drawClip() {
  const { clip } = chosenClip;
  byId("about").replaceChildren(
    el("dl", { class: "facts" }, fact("Id", clip.key), ...clip.about.map(([name, value]) => fact(name, value))),
  );
  lane.replaceChildren(...({ picture: drawPicture, tokens: drawTokens }[data.kind] ?? drawStrip)(clip));
  for (const toolbar of lane.querySelectorAll('[role="toolbar"]')) {
    roving(toolbar, { columns: data.kind === "picture" ? data.grid[1] : 1 });
    stopAt(toolbar, toolbar.querySelector("button"));
  }
  markSame(chosenUnit?.name);
}

function unitButton(name, says, attributes = {}, ...children) {
  const shown = children.length ? children : [name];
  return el(
    "button",
    { type: "button", tabindex: "-1", "data-name": name, "aria-label": says, title: says, ...attributes },
    ...shown,
  );
}

/** A toolbar with a button for each occurrence; those of the other run open nothing. */
function toolbar(clip, units, title, make, isOther = false) {
  const cells = units.map((_, number) => {
    const found = occurrence(clip, number, units);
    const labels = labelsIn(clip, found.begin, found.end).join(" ");
    const time = data.kind === "picture" ? "" : `, ${at(clip.start + found.begin)}, ${lasting(found.end - found.begin)}`;
    const one = make(found, `unit ${found.name}${time}${labels ? `, ${labels}` : ""}`, number);
    one.style.background = colour(found.name);
    if (!isOther) one.addEventListener("click", () => openUnit(found.name));
    if (!isOther && clip.sound) {
      one.addEventListener("keydown", (event) => event.key.toLowerCase() === "p" && playClip(found.begin));
    }
    return one;
  });
  return el("div", { role: "toolbar", "aria-label": title, class: isOther ? "other" : "own" }, ...cells);
}

function drawStrip(clip) {
  const scale = closest[data.kind] * zoom;
  const width = clip.length * scale;
  const strip = (units, title, isOther) => {
    const row = toolbar(clip, units, title, (found, says) => {
      const room = (found.end - found.begin) * scale;
      const isWide = room > 7 * found.name.length + 3;
      const attributes = { style: { width: `${room}px` }, class: isWide ? "level" : "upright" };
      return unitButton(found.name, says, attributes, isWide || (room > 9 && found.name.length < 5) ? found.name : "");
    }, isOther);
    row.classList.add("row");
    return row;
  };
  const shape = { width, height: data.kind === "sound" ? 150 : clip.size[1] * scale, preserveAspectRatio: "none", class: "seen" };
  const says = `${clip.key} as a ${data.kind === "sound" ? "spectrogram" : "picture"}`;
  const seen = plate(clip, [0, 0, ...clip.size], { ...shape, "aria-label": says });
  if (clip.sound) {
    seen.addEventListener("click", (event) => playClip((event.offsetX / width) * clip.length));
  }
  const rows = [seen, el("p", { class: "rowname" }, "units"), strip(clip.units, `Units of ${clip.key}`, false)];
  if (clip.labels.length) rows.push(el("p", { class: "rowname" }, data.labels), labelRow(clip, scale));
  if (clip.beside.length) {
    rows.push(el("p", { class: "rowname" }, `units of ${data.beside}`), strip(clip.beside, `Units of ${clip.key} in ${data.beside}`, true));
  }
  return [el("div", { class: "lane", style: { width: `${width}px` } }, ...rows)];
}

function labelRow(clip, scale) {
  const row = el("div", { class: "row" });
  let before = 0;
  clip.labels.forEach(([from, to, name], number) => {
    if (from > before) row.append(el("span", { style: { width: `${(from - before) * scale}px` } }));
    const odd = number % 2 ? "label odd" : "label";
    row.append(el("span", { class: odd, title: name, style: { width: `${(to - from) * scale}px` } }, name));
    before = to;
  });
  return row;
}

function drawPicture(clip) {
  const grid = (units, [rows, columns], title, isOther) => {
    const cells = toolbar(clip, units, title, (found, says, number) =>
      unitButton(found.name, `row ${Math.floor(number / columns) + 1}, column ${(number % columns) + 1}: ${says}`), isOther);
    cells.classList.add("cells");
    Object.assign(cells.style, { gridTemplateColumns: `repeat(${columns}, 1fr)`, gridTemplateRows: `repeat(${rows}, 1fr)` });
    return cells;
  };
  const all = [
    plate(clip, [0, 0, ...clip.size], { "aria-label": clip.key, style: { imageRendering: "pixelated" } }),
    grid(clip.units, data.grid, `Units of ${clip.key}`, false),
  ];
  if (clip.beside.length) all.push(grid(clip.beside, data.besideGrid, `Units of ${clip.key} in ${data.beside}`, true));
  return [el("div", { class: "pictures" }, ...all)];
}

function drawTokens(clip) {
  const strip = (units, texts, title, isOther) => {
    const row = toolbar(clip, units, title, (found, says, number) =>
      unitButton(found.name, `${says}: ${texts[number] ?? ""}`, {}, found.name, el("span", {}, texts[number] ?? "")), isOther);
    row.classList.add("wrapped");
    return row;
  };
  const rows = [strip(clip.units, clip.texts, `Units of ${clip.key}`, false)];
  if (clip.beside.length) {
    rows.push(el("p", { class: "rowname" }, `units of ${data.beside}`), strip(clip.beside, [], `Units of ${clip.key} in ${data.beside}`, true));
  }
  return rows;
}

/** Underline what else is the chosen unit. */
function markSame(name) {
  for (const one of lane.querySelectorAll(".own button")) one.classList.toggle("same", one.dataset.name === name);
}

function playClip(begin = 0) {
  const { clip } = chosenClip;
  const pressed = byId("play");
  const isRunning = playing?.pressed === pressed;
  if (isRunning) stop();
  if (isRunning && !begin) return;
  const scale = closest.sound * zoom;
  const head = el("div", { class: "head" });
  if (!isCalm.matches) lane.firstChild.append(head);
  const cells = [...lane.querySelectorAll(".own button")];
  const tick = (time) => {
    head.style.left = `${time * scale}px`;
    follow(time * scale);
    const now = clip.units.findIndex(([, end]) => end > time);
    if (marked[0] !== cells[now]) {
      marked.forEach((one) => one.classList.remove("now"));
      marked = now < 0 ? [] : [cells[now]];
      marked.forEach((one) => one.classList.add("now"));
    }
  };
  const done = () => {
    head.remove();
    marked.forEach((one) => one.classList.remove("now"));
    marked = [];
  };
  play(clip, begin, clip.length, pressed, { tick, done });
}

/** Keep what is heard in sight, a page at a time. */
function follow(place) {
  if (place < lane.scrollLeft || place > lane.scrollLeft + lane.clientWidth - 20) lane.scrollLeft = place - 40;
}
