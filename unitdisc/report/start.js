// Search, and the first unit and clip.

function letters(text) {
  return text.toLocaleLowerCase().normalize("NFC");
}

/** A unit is found by its number, by the beginning of its number, or by one of its labels. */
function isFound(unit, wanted) {
  return unit.name === wanted || unit.name.startsWith(wanted) || unit.labels.some(([name]) => letters(name) === wanted);
}

function search() {
  const wanted = letters(byId("find").value.trim());
  const units = data.units.filter((unit) => !wanted || isFound(unit, wanted));
  for (const row of listed.values()) row.hidden = true;
  for (const unit of units) listed.get(unit.name).hidden = false;
  const inText = (clip) => [clip.key, ...clip.about.map(([, value]) => value)].some((text) => letters(text).includes(wanted));
  let clips = data.clips.map((_, number) => number).filter((number) => !wanted || inText(data.clips[number]));
  const told = `${count(units.length, "unit", "units")}, ${count(clips.length, data.one, data.many)}`;
  byId("found").textContent = wanted ? `${told} found` : told;
  if (!clips.length) clips = data.clips.map((_, number) => number);
  listClips(clips);
  const row = listed.get(chosenUnit?.name);
  stopAt(list, row && !row.hidden ? row : list.querySelector("button:not([hidden])"));
  if (wanted && clips.length < data.clips.length && !clips.includes(chosenClip?.place)) openClip(clips[0]);
}

function step(by) {
  const next = clipList.selectedIndex + by;
  if (next >= 0 && next < clipList.length) openClip(Number(clipList.options[next].value));
}

listUnits();
drawMap();
search();
openUnit(data.units[0].name, { isListed: true, isQuiet: true });
openClip(0);
byId("find").addEventListener("input", search);
byId("find").addEventListener("keydown", (event) => {
  const first = list.querySelector("button:not([hidden])");
  if (event.key === "Enter" && first) openUnit(first.dataset.unit);
});
byId("order").addEventListener("change", (event) => orderUnits(event.target.value));
clipList.addEventListener("change", () => openClip(Number(clipList.value)));
byId("before").addEventListener("click", () => step(-1));
byId("after").addEventListener("click", () => step(1));
byId("play")?.addEventListener("click", () => playClip());
byId("zoom")?.addEventListener("input", (event) => {
  stop();
  zoom = Number(event.target.value);
  drawClip();
});
document.addEventListener("keydown", (event) => event.key === "Escape" && stop());
