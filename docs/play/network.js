// The reference network in plain JavaScript: what Keras does with one picture, loop by loop.
// It works on flat arrays: the value in row r, column c and channel k of maps of n×n pixels
// stands at index (r * n + c) * channels + k. weights.js brings the WEIGHTS that Keras learned.
"use strict";

// Base64 text to bytes: how weights.js and data.js carry numbers in a script.
function bytesOf(base64) {
  return Uint8Array.from(atob(base64), (letter) => letter.charCodeAt(0));
}

// All weights in the order of Keras: kernel and bias of a layer, kernel and bias of the next, ...
const [conv1, conv1Bias, conv2, conv2Bias, ...dense] = splitWeights();

function splitWeights() {
  const numbers = new Float32Array(bytesOf(WEIGHTS.base64).buffer);
  let start = 0;
  return WEIGHTS.shapes.map((shape) => {
    const length = shape.reduce((product, side) => product * side, 1);
    start += length;
    return numbers.subarray(start - length, start);
  });
}

// A convolution by 3×3 with ReLU: n×n pixels become (n - 2)×(n - 2).
function convolve(maps, n, channels, kernel, bias) {
  const filters = bias.length;
  const size = n - 2;
  const result = new Float32Array(size * size * filters);
  const sum = new Float32Array(filters); // one pixel of the result: all filters at once
  for (let row = 0; row < size; row++) {
    for (let column = 0; column < size; column++) {
      sum.set(bias);
      for (let r = 0; r < 3; r++) {
        for (let c = 0; c < 3; c++) {
          for (let k = 0; k < channels; k++) {
            const value = maps[((row + r) * n + column + c) * channels + k];
            const first = ((r * 3 + c) * channels + k) * filters;
            for (let f = 0; f < filters; f++) sum[f] += value * kernel[first + f];
          }
        }
      }
      const place = (row * size + column) * filters;
      for (let f = 0; f < filters; f++) result[place + f] = Math.max(sum[f], 0);
    }
  }
  return result;
}

// Max pooling: of each 2×2 pixels the largest; an odd row or column at the end is left out.
function maxPool(maps, n, channels) {
  const size = Math.floor(n / 2);
  const result = new Float32Array(size * size * channels);
  for (let row = 0; row < size; row++) {
    for (let column = 0; column < size; column++) {
      for (let k = 0; k < channels; k++) {
        const at = (r, c) => maps[((2 * row + r) * n + 2 * column + c) * channels + k];
        result[(row * size + column) * channels + k] = Math.max(
          at(0, 0),
          at(0, 1),
          at(1, 0),
          at(1, 1),
        );
      }
    }
  }
  return result;
}

// A dense layer without activation: every input times its weight, summed, for each unit.
function denseLayer(inputs, kernel, bias) {
  const result = Float32Array.from(bias);
  inputs.forEach((value, i) => {
    for (let unit = 0; unit < bias.length; unit++)
      result[unit] += value * kernel[i * bias.length + unit];
  });
  return result;
}

// The whole network: 28×28 numbers from 0 (black) to 1 (white) in; out come the 64 feature maps of
// the first layer, the two logits (NORMAL, PNEUMONIA) and the probability of PNEUMONIA.
function predict(pixels) {
  const maps = convolve(pixels, 28, 1, conv1, conv1Bias); // 26×26×64
  let values = maxPool(maps, 26, 64); // 13×13×64
  values = convolve(values, 13, 64, conv2, conv2Bias); // 11×11×64
  values = maxPool(values, 11, 64); // 5×5×64, and flat already: 1600 numbers
  for (let i = 0; i < dense.length; i += 2) {
    values = denseLayer(values, dense[i], dense[i + 1]); // 256, 128, 64, 32, 16, 2
    if (i < dense.length - 2) values = values.map((value) => Math.max(value, 0));
  }
  // The last layer has a sigmoid in Keras, but training took its loss from the values before it:
  // these are the logits. The softmax of two logits is one sigmoid of their difference.
  const probability = 1 / (1 + Math.exp(values[0] - values[1]));
  return { maps, logits: values, probability };
}

// Which parts of the picture the answer depends on: a patch of 7×7 pixels at a time gets the mean
// gray level; how far do the log odds of PNEUMONIA fall? Yields the map so far after each patch, so
// that the page can pause between them; 0 to 1, where 1 is the pixel on which most depends.
function* occlusionMaps(pixels) {
  const logOdds = ([normal, pneumonia]) => pneumonia - normal;
  const before = logOdds(predict(pixels).logits);
  const mean = pixels.reduce((sum, value) => sum + value, 0) / pixels.length;
  const total = new Float32Array(28 * 28);
  const times = new Float32Array(28 * 28);
  const starts = [...Array(11).keys()].map((i) => 2 * i).concat(21); // up to the last pixel
  for (const top of starts) {
    for (const left of starts) {
      const patch = [];
      for (let i = 0; i < 49; i++) patch.push((top + Math.floor(i / 7)) * 28 + left + (i % 7));
      const covered = Float32Array.from(pixels);
      for (const i of patch) covered[i] = mean;
      const fall = before - logOdds(predict(covered).logits);
      for (const i of patch) {
        total[i] += fall;
        times[i] += 1;
      }
      const map = total.map((value, i) => Math.max(value / Math.max(times[i], 1), 0));
      const largest = Math.max(...map);
      yield map.map((value) => (largest > 0 ? value / largest : 0));
    }
  }
}
