// The page: what the reader does goes to picture.js and network.js, and their answer is shown.
"use strict";

const element = (id) => document.getElementById(id);
const number = (id) => Number(element(id).value);
const PREVALENCES = [
  0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9,
];
// How a slider's value is said, where it is not the number and the unit in index.html.
const SAID = {
  dose: (value) => Math.round(10 ** value).toLocaleString("en"),
  prevalence: (value) => percent(PREVALENCES[value]),
};

let picture = null; // what the reader chose: {gray, width, height, lungs, kind, truth}
let changed = null; // the same with the reader's changes
let answer = null; // what predict() says of it
let occlusion = null; // 28×28 numbers, 0 to 1, or null while they are computed
let explaining = 0; // counts the answers, so that an old explanation stops

function percent(p) {
  if (p > 0.999 && p < 1) return "above 99.9%";
  if (p < 0.001 && p > 0) return "below 0.1%";
  return `${Number((100 * p).toFixed(1))}%`;
}

// ---- 1. Choose a picture

const DISEASES = {
  normal: "without disease: NORMAL",
  lobar: "with lobar pneumonia: PNEUMONIA",
  bronchopneumonia: "with bronchopneumonia: PNEUMONIA",
  interstitial: "with interstitial pneumonia: PNEUMONIA",
  effusion: "with an effusion beside the lung, in this series also PNEUMONIA",
};

async function fromUrl(url) {
  const [head, base64] = url.split(",");
  return readPicture(new File([bytesOf(base64)], "picture", { type: head.slice(5, -7) }));
}

async function loadPhantom(phantom) {
  const [chosen, mask] = await Promise.all([fromUrl(phantom.url), fromUrl(phantom.lungs)]);
  const truth = `The truth: ${phantom.file} was drawn ${DISEASES[phantom.disease]}.`;
  return { ...chosen, lungs: mask.gray, kind: "phantom", truth };
}

const noRadiograph = async (url, name) => ({
  ...(await fromUrl(url)),
  kind: "other",
  truth: `The truth: this is ${name}, neither NORMAL nor PNEUMONIA.`,
});

const PICKS = [
  ...DATA.phantoms.map((phantom, i) => [
    `Phantom ${i + 1}`,
    phantom.url,
    () => loadPhantom(phantom),
  ]),
  ["A cat", DATA.cat, () => noRadiograph(DATA.cat, "a drawing of a cat")],
  ["A temple", DATA.temple, () => noRadiograph(DATA.temple, "a photograph of a temple")],
];

function showPicks() {
  for (const [name, url, load] of PICKS) {
    const button = document.createElement("button");
    button.type = "button";
    const image = document.createElement("img");
    image.src = url;
    image.alt = "";
    button.append(image, name);
    button.addEventListener("click", () => choose(load, button));
    element("picks").append(button);
  }
}

function readFile(file) {
  return choose(async () => ({
    ...(await readPicture(file)),
    kind: "other",
    truth: `The truth about ${file.name} the page cannot know. The network knows only phantoms.`,
  }));
}

// Take what a function loads; of several that load at once the last one chosen counts.
let choices = 0;
async function choose(load, button = null) {
  const mine = ++choices;
  let problem = "";
  const loaded = await load().catch((error) => (problem = error.message));
  if (mine !== choices) return;
  element("problem").textContent = problem;
  element("problem").hidden = !problem;
  if (problem) return; // the picture before stays
  picture = loaded;
  for (const other of element("picks").children) {
    other.setAttribute("aria-pressed", String(other === button));
  }
  update();
}

// The chest to which the page adds an opacity; lung fields are where the beam crosses 1 cm of lung.
const thousandths = new Uint16Array(bytesOf(DATA.chest.attenuation).buffer);
const tenths = bytesOf(DATA.chest.lungPath);
const chest = {
  ...DATA.chest,
  attenuation: Float32Array.from(thousandths, (value) => value / 1000),
  lungPath: Float32Array.from(tenths, (value) => value / 10),
  lungs: tenths.map((path) => (path > 10 ? 255 : 0)),
};

function drawn() {
  const opacity = {
    x: number("x") / 100,
    y: number("y") / 100,
    size: number("size"),
    density: number("density") / 100,
    dose: 10 ** number("dose"),
  };
  const truth = opacity.density
    ? `The truth: you drew an opacity of ${opacity.size} cm radius, ${number("density")}% filled.`
    : "The truth: you drew a chest without an opacity.";
  return { ...drawPhantom(chest, opacity), lungs: chest.lungs, kind: "drawn", truth };
}

// ---- 2. The answer, and 3. changes to the picture

function changes() {
  return {
    stops: number("stops"),
    right: number("right"),
    down: number("down"),
    mark: element("mark").checked,
    blackout: element("blackout").checked,
  };
}

const ask = (image) => predict(Float32Array.from(shrink(image), (gray) => gray / 255));
const isChanged = () => Object.values(changes()).some(Boolean);

function update() {
  const start = performance.now();
  // Lungs can be blacked out only where it is known where they are.
  element("blackout").disabled = !picture.lungs;
  if (!picture.lungs) element("blackout").checked = false;
  element("blackout-note").textContent = picture.lungs
    ? "Where the lungs are is known because the phantom was drawn."
    : "Lungs can be blacked out in phantoms only: elsewhere the page does not know where they are.";

  changed = change(picture, changes());
  const seen = shrink(changed);
  const pixels = Float32Array.from(seen, (gray) => gray / 255);
  answer = predict(pixels);
  showAnswer();
  element("time").textContent = `Computed in ${Math.round(performance.now() - start)} ms.`;
  element("before").textContent = isChanged()
    ? `Without your changes: ${percent(ask(picture).probability)}.`
    : "";
  paint(element("seen"), seen, 28, 28);
  showMaps(answer.maps);
  explain(pixels);
}

function showAnswer() {
  const { logits, probability } = answer;
  const threshold = number("threshold") / 100;
  const called = probability >= threshold ? "PNEUMONIA" : "NORMAL";
  element("percent").textContent = percent(probability);
  element("class").textContent = "probability of PNEUMONIA";
  element("words").textContent =
    `At a threshold of ${percent(threshold)} the network calls this picture ${called}. ` +
    meaning(probability);
  element("strip").textContent = `The answer: ${percent(probability)}, called ${called}`;
  element("truth").textContent = picture.truth;
  element("bar").style.width = `${100 * probability}%`;
  element("bar-threshold").style.left = `${100 * threshold}%`;
  element("logit-normal").textContent = logits[0].toFixed(2);
  element("logit-pneumonia").textContent = logits[1].toFixed(2);
}

// What the probability means, in counts: how many of the phantoms with such an answer are ill?
function meaning(probability) {
  if (picture.kind === "other") {
    return "What its percentage means for such a picture, nobody has measured.";
  }
  if (picture.kind === "drawn" || isChanged()) {
    return "What its percentage means for changed or drawn pictures, nobody has measured.";
  }
  const limits = [0, 0.05, 0.2, 0.5, 0.8, 0.95, 1.01];
  const i = limits.findIndex((limit) => probability < limit) - 1;
  const alike = DATA.test.y.filter(
    (_, k) => DATA.test.p[k] >= limits[i] && DATA.test.p[k] < limits[i + 1],
  );
  const ill = alike.filter((y) => y === 1).length;
  return (
    `Of the ${DATA.test.y.length} phantoms of the test, ${alike.length} got between ` +
    `${percent(limits[i])} and ${percent(Math.min(limits[i + 1], 1))}; ` +
    `${ill} of these have pneumonia.`
  );
}

// Gray levels, 0 to 255, as an image for a canvas: red, green and blue alike, and opaque.
function imageOf(gray, width, height) {
  const image = new ImageData(width, height);
  for (let i = 0; i < gray.length; i++) {
    image.data[4 * i] = image.data[4 * i + 1] = image.data[4 * i + 2] = gray[i];
    image.data[4 * i + 3] = 255;
  }
  return image;
}

function paint(canvas, gray, width, height) {
  canvas.width = width;
  canvas.height = height;
  canvas.getContext("2d").putImageData(imageOf(gray, width, height), 0, 0);
}

function paintPicture() {
  const canvas = element("picture");
  paint(canvas, changed.gray, changed.width, changed.height);
  if (!occlusion || !element("show-occlusion").checked) return;
  // Orange over the picture, the more opaque the more the answer depends on this place.
  const layer = new ImageData(28, 28);
  occlusion.forEach((value, i) => layer.data.set([255, 140, 0, 170 * value], 4 * i));
  const small = new OffscreenCanvas(28, 28);
  small.getContext("2d").putImageData(layer, 0, 0);
  canvas.getContext("2d").drawImage(small, 0, 0, canvas.width, canvas.height);
}

const pause = (milliseconds) => new Promise((resolve) => setTimeout(resolve, milliseconds));

// Compute the occlusion map in pieces, so that sliders stay quick, and show it when it is whole.
async function explain(pixels) {
  const mine = ++explaining;
  occlusion = null;
  paintPicture();
  await pause(150); // until a slider rests
  let map = null;
  for (map of occlusionMaps(pixels)) {
    await pause(0);
    if (mine !== explaining) return;
  }
  occlusion = map;
  paintPicture();
}

// ---- 4. What the answer is worth

// The 95% interval of a proportion: Wilson's score interval.
function wilson(correct, total) {
  const z = 1.96;
  const p = correct / total;
  const middle = p + z ** 2 / (2 * total);
  const half = z * Math.sqrt((p * (1 - p)) / total + z ** 2 / (4 * total ** 2));
  return [middle - half, middle + half].map((end) => end / (1 + z ** 2 / total));
}

function showWorth() {
  const { y, p } = DATA.test;
  const threshold = number("threshold") / 100;
  const prevalence = PREVALENCES[number("prevalence")];
  const called = p.map((value) => (value >= threshold ? 1 : 0));
  const total = [0, 1].map((k) => y.filter((truth) => truth === k).length);
  const right = [0, 1].map((k) => y.filter((truth, i) => truth === k && called[i] === k).length);
  const [specificity, sensitivity] = right.map((count, k) => count / total[k]);
  const rate = (name, k) =>
    `${name} ${percent(right[k] / total[k])} (${right[k]} of ${total[k]}; 95% interval ` +
    `${wilson(right[k], total[k]).map(percent).join(" to ")})`;
  element("rates").textContent =
    "On the phantoms of the test, at this threshold: " +
    `${rate("sensitivity", 1)}, ${rate("specificity", 0)}.`;

  // The same rates in 10,000 children.
  const ill = 10000 * prevalence;
  const healthy = 10000 - ill;
  const counts = {
    tp: ill * sensitivity,
    fn: ill * (1 - sensitivity),
    fp: healthy * (1 - specificity),
    tn: healthy * specificity,
  };
  for (const [id, count] of Object.entries(counts)) {
    element(id).textContent = Math.round(count).toLocaleString("en");
  }
  element("of-children").textContent = `Of 10,000 children, if ${percent(prevalence)} are ill`;
  const share = (part, rest) =>
    part + rest ? percent(part / (part + rest)) : "undefined, as there is no such answer";
  element("values").textContent =
    `Positive predictive value: an answer PNEUMONIA is right in ${share(counts.tp, counts.fp)}. ` +
    `Negative predictive value: an answer NORMAL is right in ${share(counts.tn, counts.fn)}.`;
}

// ---- 5. Inside

function showMaps(maps) {
  const [side, gap, count] = [26, 2, 64];
  const canvas = element("maps");
  const context = canvas.getContext("2d");
  canvas.width = canvas.height = 8 * (side + gap) - gap;
  context.fillStyle = getComputedStyle(canvas).borderColor;
  context.fillRect(0, 0, canvas.width, canvas.width);
  const largest = maps.reduce((a, b) => Math.max(a, b), 1e-9);
  for (let k = 0; k < count; k++) {
    // The root of each value, so that weak responses show too.
    const gray = Float32Array.from(
      { length: side * side },
      (_, i) => 255 * Math.sqrt(maps[i * count + k] / largest),
    );
    context.putImageData(
      imageOf(gray, side, side),
      (k % 8) * (side + gap),
      Math.floor(k / 8) * (side + gap),
    );
  }
}

// ---- What the reader does

function say(slider) {
  const text = SAID[slider.id]
    ? SAID[slider.id](slider.value)
    : slider.value + (slider.dataset.unit ?? "");
  slider.parentElement.querySelector("output").textContent = text;
  slider.setAttribute("aria-valuetext", text);
}

function listen(ids, then) {
  for (const id of ids) {
    element(id).addEventListener("input", (event) => {
      if (event.target.type === "range") say(event.target);
      then();
    });
  }
}

function reset() {
  for (const id of ["stops", "right", "down"]) {
    element(id).value = 0;
    say(element(id));
  }
  element("mark").checked = element("blackout").checked = false;
  update();
}

listen(["x", "y", "size", "density", "dose"], () => choose(async () => drawn()));
listen(["stops", "right", "down", "mark", "blackout"], () => update());
listen(["threshold"], () => (showAnswer(), showWorth()));
listen(["prevalence"], showWorth);
listen(["show-occlusion"], paintPicture);
element("reset").addEventListener("click", reset);
element("draw").addEventListener(
  "toggle",
  () => element("draw").open && choose(async () => drawn()),
);
for (const button of document.querySelectorAll("[data-prevalence]")) {
  button.addEventListener("click", () => {
    element("prevalence").value = button.dataset.prevalence;
    say(element("prevalence"));
    showWorth();
  });
}

// The same file again is a choice, too.
element("file").addEventListener("click", () => (element("file").value = ""));
element("file").addEventListener(
  "change",
  () => element("file").files[0] && readFile(element("file").files[0]),
);
document.addEventListener("dragover", (event) => event.preventDefault());
document.addEventListener("drop", (event) => {
  event.preventDefault(); // else the browser would leave the page for the file
  if (event.dataTransfer.files[0]) readFile(event.dataTransfer.files[0]);
});

element("about-network").textContent =
  `The reference network: 491,218 weights, trained for 20 epochs on ${DATA.trained} phantoms. ` +
  "No picture of a patient was used.";
for (const slider of document.querySelectorAll("input[type=range]")) say(slider);
showPicks();
showWorth();
element("picks").children[1].click();
