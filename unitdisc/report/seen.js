// Pictures of the clips, whole or cut out, with the columns or cells of a unit marked.

const urls = new Map();

function imageUrl(clip) {
  if (!urls.has(clip)) {
    urls.set(clip, URL.createObjectURL(new Blob([bytes(clip.image)], { type: "image/png" })));
  }
  return urls.get(clip);
}

function plate(clip, box, attributes, ...marks) {
  const [width, height] = clip.size;
  const image = svg("image", { width, height, preserveAspectRatio: "none", href: imageUrl(clip) });
  return svg("svg", { viewBox: box.join(" "), role: "img", ...attributes }, image, ...marks);
}

/** Columns of the image per unit of time. */
function columnsPerTime(clip) {
  return clip.size[0] / clip.length;
}

/** How much to show around a unit: seconds, columns. */
const context = data.kind === "sound" ? 0.3 : 48;

function around(clip, { begin, end }) {
  const wide = Math.min(clip.length, end - begin + 2 * context);
  const from = Math.min(Math.max(0, begin - context), clip.length - wide);
  return [from, from + wide];
}

/** What surrounds an occurrence, with its own columns marked. */
function cutOut(clip, number) {
  const found = occurrence(clip, number);
  const says = `Unit ${found.name} in ${clip.key}`;
  if (data.kind === "tokens") return words(clip, number);
  if (data.kind === "picture") return plate(clip, [0, 0, ...clip.size], { "aria-label": says }, cell(clip, number));
  const scale = columnsPerTime(clip);
  const [from, to] = around(clip, found);
  const mark = svg("rect", {
    class: "span", x: found.begin * scale, y: 0, width: (found.end - found.begin) * scale, height: clip.size[1],
  });
  const isSound = data.kind === "sound";
  const attributes = { "aria-label": `${says}, ${at(clip.start + found.begin)}`, class: "plate" };
  if (isSound) Object.assign(attributes, { height: 110, preserveAspectRatio: "none" });
  return plate(clip, [from * scale, 0, (to - from) * scale, clip.size[1]], attributes, mark);
}

/** The rectangle of a unit's cell in a picture. */
function cell(clip, number) {
  const [rows, columns] = data.grid;
  const [width, height] = [clip.size[0] / columns, clip.size[1] / rows];
  const [x, y] = [(number % columns) * width, Math.floor(number / columns) * height];
  return svg("rect", { class: "span", x, y, width, height });
}

/** The text around an occurrence, with what the unit spells marked. */
function words(clip, number) {
  const near = (from, to) => clip.texts.slice(Math.max(0, from), to).join(" ");
  return el(
    "p", {}, `${near(number - 4, number)} `, el("mark", {}, clip.texts[number] || "(nothing)"),
    ` ${near(number + 1, number + 5)}`,
  );
}
