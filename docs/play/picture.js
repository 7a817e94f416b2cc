// From a file to the 28×28 numbers that the network gets, and what the reader does to a picture.
// A picture is {gray, width, height}: gray levels from 0 (black) to 255 (white), row by row.
"use strict";

const MAX_MEGAPIXELS = 40; // the limit of xraylib too: no radiograph has more
const MAX_SIDE = 1120; // pixels: a larger picture is reduced to this first, to stay quick
const MIN_SIDE = 112; // pixels that a side keeps in that, four for each that the network gets

// Decode an image file. What is wrong with it is said in a sentence, as the message of an Error.
async function readPicture(file) {
  const start = new Uint8Array(await file.slice(0, 132).arrayBuffer());
  if (String.fromCharCode(...start.slice(128)) === "DICM" || /\.dcm$/i.test(file.name)) {
    throw new Error(
      "This is a DICOM file, which a browser cannot read. Save it as PNG or JPEG in your viewer " +
        "(without the patient's name in it), or give it to xraylib in Python: that reads DICOM.",
    );
  }
  // The browser tells an image's size before it decodes its pixels.
  const image = new Image();
  image.src = URL.createObjectURL(file);
  const unreadable = new Error(
    "This is no image that the browser can read. Choose a JPEG or PNG file.",
  );
  try {
    await new Promise((resolve, reject) => {
      image.onload = resolve;
      image.onerror = () => reject(unreadable);
    });
  } finally {
    URL.revokeObjectURL(image.src);
  }
  const megapixels = (image.naturalWidth * image.naturalHeight) / 1e6;
  if (megapixels > MAX_MEGAPIXELS) {
    throw new Error(
      `This image has ${Math.round(megapixels)} megapixels; at most ${MAX_MEGAPIXELS} are taken. ` +
        "Make it smaller first: the network sees only 28×28 pixels of it anyway.",
    );
  }
  const sides = [image.naturalWidth, image.naturalHeight];
  const factor = Math.min(1, Math.max(MAX_SIDE / Math.max(...sides), MIN_SIDE / Math.min(...sides)));
  const options = { colorSpaceConversion: "none" }; // gray levels as they stand in the file
  if (factor < 1) {
    options.resizeWidth = Math.max(1, Math.round(image.naturalWidth * factor));
    options.resizeHeight = Math.max(1, Math.round(image.naturalHeight * factor));
    options.resizeQuality = "high";
  }
  const bitmap = await createImageBitmap(file, options).catch(() => {
    throw new Error(
      "This image is damaged: the browser cannot read its pixels. Choose another file.",
    );
  });
  const picture = grayOf(bitmap);
  const sixteenBits = String.fromCharCode(...start.slice(1, 4)) === "PNG" && start[24] === 16;
  if (sixteenBits && picture.gray.every((level) => level <= 16) && picture.gray.some(Boolean)) {
    throw new Error(
      "8- or 12-bit values in 16 bits would be black: scale them to 65535 first, or give the file " +
        "to a viewer that does.",
    );
  }
  return picture;
}

// The gray levels of a decoded image; transparency is laid over black.
function grayOf(bitmap) {
  const { width, height } = bitmap;
  const context = new OffscreenCanvas(width, height).getContext("2d", { willReadFrequently: true });
  context.fillRect(0, 0, width, height);
  context.drawImage(bitmap, 0, 0);
  const colors = context.getImageData(0, 0, width, height).data; // red, green, blue, alpha, ...
  const gray = new Uint8ClampedArray(width * height);
  for (let i = 0; i < gray.length; i++) {
    gray[i] = 0.299 * colors[4 * i] + 0.587 * colors[4 * i + 1] + 0.114 * colors[4 * i + 2];
  }
  return { gray, width, height };
}

// Make a picture of 28×28 pixels, as Pillow's bicubic filter does: first rows, then columns.
function shrink({ gray, width, height }, size = 28) {
  const rows = resample(gray, width, height, size); // turned: size rows of height pixels
  return resample(rows, height, size, size);
}

// Resample each row of a picture to `size` pixels and write it as a column of the result.
function resample(gray, width, height, size) {
  const result = new Uint8ClampedArray(size * height); // rounds, and stays within 0 ... 255
  const scale = width / size;
  const stretch = Math.max(scale, 1); // over so many pixels the filter is spread
  for (let column = 0; column < size; column++) {
    // The pixels that count for this one, each with its weight.
    const centre = (column + 0.5) * scale;
    const first = Math.max(Math.floor(centre - 2 * stretch + 0.5), 0);
    const last = Math.min(Math.floor(centre + 2 * stretch + 0.5), width);
    const weights = [];
    for (let x = first; x < last; x++) weights.push(bicubic((x + 0.5 - centre) / stretch));
    const whole = weights.reduce((sum, weight) => sum + weight, 0);
    for (let row = 0; row < height; row++) {
      let sum = 0;
      weights.forEach((weight, i) => (sum += weight * gray[row * width + first + i]));
      result[column * height + row] = sum / whole;
    }
  }
  return result;
}

// The bicubic filter: 1 in the middle, a little below 0 between 1 and 2, nothing beyond.
function bicubic(x) {
  x = Math.abs(x);
  if (x < 1) return (1.5 * x - 2.5) * x * x + 1;
  if (x < 2) return ((-0.5 * x + 2.5) * x - 4) * x + 2;
  return 0;
}

// What the reader changes: lungs blacked out, exposure, a shift and a mark, in this order.
// `right` and `down` count pixels of the 28; `stops` are powers of two of brightness.
function change({ gray, width, height, lungs }, { blackout, stops, right, down, mark }) {
  const changed = new Uint8ClampedArray(gray.length);
  const clamp = (value, top) => Math.min(Math.max(value, 0), top - 1);
  const dx = Math.round((right * width) / 28);
  const dy = Math.round((down * height) / 28);
  const light = 2 ** stops;
  for (let y = 0; y < height; y++) {
    for (let x = 0; x < width; x++) {
      // What leaves at one side is lost; at the other the edge is repeated.
      const from = clamp(y - dy, height) * width + clamp(x - dx, width);
      changed[y * width + x] = blackout && lungs && lungs[from] ? 0 : gray[from] * light;
    }
  }
  if (mark) stampMark(changed, width, height);
  return { gray: changed, width, height };
}

// A white letter R in the upper left corner, as of lead: five by five squares.
function stampMark(gray, width, height) {
  const letter = ["####.", "#...#", "####.", "#..#.", "#...#"];
  const side = width / 40;
  for (let y = 0; y < 5 * side; y++) {
    for (let x = 0; x < 5 * side; x++) {
      const [row, column] = [Math.floor(y / side), Math.floor(x / side)];
      const place = Math.floor(y + height / 25) * width + Math.floor(x + width / 25);
      if (letter[row][column] === "#") gray[place] = 255;
    }
  }
}

// A phantom by the law of Beer and Lambert: an opacity is lung that fluid fills. `chest` has the
// attenuation of a healthy chest and the path through its lungs (cm) for each pixel, see build.py.
// An opacity is {x, y, size, density}: place from 0 to 1, size in cm, proportion of air replaced.
function drawPhantom(chest, { x, y, size, density, dose }) {
  const { side, attenuation, lungPath, width, height, low, high } = chest;
  const gray = new Uint8ClampedArray(side * side);
  const noise = standardNormal(1);
  for (let i = 0; i < gray.length; i++) {
    const across = ((i % side) / side - x) * width; // cm from the middle of the opacity
    const down = (Math.floor(i / side) / side - y) * height;
    const filled = density * Math.exp(-((across / size) ** 2) - (down / size) ** 2);
    const added = filled * lungPath[i] * (chest.muWater - chest.muLung);
    const seen = attenuation[i] + added; // -ln of the proportion of photons that arrive
    // Of N photons a pixel counts N ± sqrt(N): the fewer arrive, the more the picture flickers.
    const counted = seen + noise() / Math.sqrt(dose * Math.exp(-seen));
    gray[i] = chest.dark + (chest.gain * (counted - low)) / (high - low);
  }
  return { gray, width: side, height: side };
}

// Random numbers of the standard normal distribution (Box and Muller), the same for the same seed.
function standardNormal(seed) {
  const uniform = () => {
    seed = (Math.imul(seed, 1664525) + 1013904223) >>> 0;
    return (seed + 1) / 2 ** 32;
  };
  return () => Math.sqrt(-2 * Math.log(uniform())) * Math.cos(2 * Math.PI * uniform());
}
