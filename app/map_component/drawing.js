// Points into the pixels of one image; never one path a point. `view` is the MapView of main.js.

const DENSITY_FROM = 50_000, DENSITY_BELOW_ZOOM = 2, MOST_FRAMES = 100;
const MOST_WHILE_MOVING = 250_000;

// Places on the screen, in CSS pixels: x grows to the right, y upwards on the map and downwards on the screen.
function makeTransform(view) {
  const [left, bottom, right, top] = view.map.box;
  let across = right - left, up = top - bottom;
  if (!(across > 0) || !(up > 0)) across = up = 1;
  const aspect = Math.max(0.25, Math.min(4, across / up));
  const unit = Math.min(view.width / aspect, view.height) * 0.92 * view.zoom;
  const kx = (unit * aspect) / GRID_MAX, ky = unit / GRID_MAX;
  return {
    kx, ky,
    x: (gx) => view.width / 2 + (gx - view.cx) * kx,
    y: (gy) => view.height / 2 - (gy - view.cy) * ky,
    gx: (sx) => view.cx + (sx - view.width / 2) / kx,
    gy: (sy) => view.cy - (sy - view.height / 2) / ky,
  };
}

function readTheme(root, context) {
  const style = getComputedStyle(root);
  const rgb = (name, otherwise) => {
    context.fillStyle = otherwise;
    context.fillStyle = style.getPropertyValue(name).trim() || otherwise;
    const code = context.fillStyle;
    const hex = /^#(..)(..)(..)/.exec(code);
    return hex ? hex.slice(1).map((part) => parseInt(part, 16)) : code.match(/[\d.]+/g).slice(0, 3).map(Number);
  };
  const background = rgb("--st-background-color", "#ffffff");
  return {
    background, text: rgb("--st-text-color", "#31333f"), primary: rgb("--st-primary-color", "#0072b2"),
    font: style.getPropertyValue("--st-font").trim() || "sans-serif",
    isDark: background[0] + background[1] + background[2] < 384,
  };
}

const css = (rgb, alpha = 1) => `rgba(${rgb[0]}, ${rgb[1]}, ${rgb[2]}, ${alpha})`;
const blend = (one, other, share) => one.map((part, i) => Math.round(part * (1 - share) + other[i] * share));
const pixel = (rgb) => ((255 << 24) | (rgb[2] << 16) | (rgb[1] << 8) | rgb[0]) >>> 0;

function paletteOf(map, theme) {
  const count = map.palettes.length / 6, start = theme.isDark ? count * 3 : 0;
  const colours = [];
  for (let c = 0; c < count; c++) colours.push(Array.from(map.palettes.subarray(start + 3 * c, start + 3 * c + 3)));
  return colours;
}

// Pixels of a stamp around its middle: a disc, a plus for points placed later, a square for the tray, hollow or full.
function makeStamp(kind, size) {
  const offsets = [], middle = (size - 1) / 2;
  for (let y = 0; y < size; y++) {
    for (let x = 0; x < size; x++) {
      const far = Math.hypot(x - middle, y - middle);
      const isEdge = x < 2 || y < 2 || x >= size - 2 || y >= size - 2;
      const isOn = kind === "disc" ? size < 3 || far <= size / 2
        : kind === "plus" ? Math.abs(x - middle) < size / 6 + 0.1 || Math.abs(y - middle) < size / 6 + 0.1
        : kind === "block" || isEdge;
      if (isOn) offsets.push(x - Math.floor(middle), y - Math.floor(middle));
    }
  }
  return { offsets: Int32Array.from(offsets), reach: size };
}

function stampPoint(image, stamp, px, py, colour) {
  const { pixels, counts, width, height } = image, offsets = stamp.offsets, reach = stamp.reach;
  if (px >= reach && py >= reach && px < width - reach && py < height - reach) {  // nearly all: nothing to cut off
    for (let k = 0; k < offsets.length; k += 2) {
      const at = (py + offsets[k + 1]) * width + px + offsets[k];
      pixels[at] = colour;
      if (counts) counts[at]++;
    }
    return;
  }
  for (let k = 0; k < offsets.length; k += 2) {
    const x = px + offsets[k], y = py + offsets[k + 1];
    if (x < 0 || y < 0 || x >= width || y >= height) continue;
    pixels[y * width + x] = colour;
    if (counts) counts[y * width + x]++;
  }
}

function pointSize(n, zoom, ratio) {
  const plain = n <= 2_000 ? 6 : n <= 20_000 ? 4 : n <= 50_000 ? 3 : n <= 300_000 ? 2 : 1;
  return Math.max(1, Math.min(14, Math.round(plain * Math.min(2.2, Math.max(1, zoom) ** 0.35) * ratio)));
}

// Grey first, then coloured points: what matters is never under what does not.
function stampAll(view, image, isDense, stride) {
  const { map, theme } = view, ratio = view.ratio, place = makeTransform(view);
  const palette = paletteOf(map, theme);
  const full = Uint32Array.from(palette, pixel);
  const faint = Uint32Array.from(palette, (rgb) => pixel(blend(rgb, theme.background, 0.6)));
  const left = pixel(blend(theme.text, theme.background, 0.78));
  const size = isDense && map.n > 300_000 ? Math.max(1, Math.floor(ratio)) : pointSize(map.n, view.zoom, ratio);
  const disc = makeStamp("disc", size), plus = makeStamp("plus", Math.max(5, size + 3));
  const kx = place.kx * ratio, ky = -place.ky * ratio, ox = place.x(0) * ratio, oy = place.y(0) * ratio;
  for (const wantsGrey of [true, false]) {
    for (let i = 0; i < map.n; i += stride) {
      const flags = map.flags[i], colour = map.colour[i];
      if (((flags & FILTERED_OUT) !== 0 || colour === 0) !== wantsGrey) continue;
      const px = Math.floor(map.x[i] * kx + ox), py = Math.floor(map.y[i] * ky + oy);
      if (px < -20 || py < -20 || px > image.width + 20 || py > image.height + 20) continue;
      const shown = flags & FILTERED_OUT ? left : flags & LOW_TRUST ? faint[colour] : full[colour];
      stampPoint(image, flags & PLACED && !isDense ? plus : disc, px, py, shown);
    }
  }
}

// Whether frames of so many pixels would lie over each other: a third of them or more share a square of that size.
function isCrowded(view, place, size) {
  const { map, ratio, trayPoints } = view, cells = new Set();
  for (const i of trayPoints) {
    cells.add(`${Math.floor((place.x(map.x[i]) * ratio) / size)},${Math.floor((place.y(map.y[i]) * ratio) / size)}`);
  }
  return trayPoints.length - cells.size >= trayPoints.length / 3;
}

// Few are framed one by one; many get one outline around all that touch, or the frames would be a single dark blot.
// The points lie over all frames, so that each keeps its colour.
function stampTray(view, image) {
  const { map, ratio, theme } = view, place = makeTransform(view), size = pointSize(map.n, view.zoom, ratio);
  const wide = size + Math.round(6 * ratio);
  const isMany = view.trayPoints.length > MOST_FRAMES || isCrowded(view, place, wide);
  const square = isMany ? makeStamp("block", size + 2 * Math.round(ratio)) : makeStamp("square", wide);
  const disc = makeStamp("disc", size), colours = paletteOf(map, theme).map(pixel);
  image.counts = null;
  for (const isInside of [false, true]) {
    for (const i of view.trayPoints) {
      const px = Math.floor(place.x(map.x[i]) * ratio), py = Math.floor(place.y(map.y[i]) * ratio);
      stampPoint(image, isInside ? disc : square, px, py, isInside ? colours[map.colour[i]] : pixel(theme.text));
    }
  }
}

// Where many points share a pixel, it is fuller: by the logarithm, or one crowd would dim all the rest.
function weighPixels(image) {
  const { pixels, counts } = image;
  let most = 1;
  for (let p = 0; p < counts.length; p++) if (counts[p] > most) most = counts[p];
  const alphas = new Uint8Array(Math.min(most, 4095) + 1);
  for (let c = 1; c < alphas.length; c++) {
    alphas[c] = Math.round(255 * (0.62 + (0.38 * Math.log1p(c)) / Math.log1p(alphas.length - 1)));
  }
  for (let p = 0; p < counts.length; p++) {
    if (counts[p]) pixels[p] = ((pixels[p] & 0xffffff) | (alphas[Math.min(counts[p], alphas.length - 1)] << 24)) >>> 0;
  }
}

// A soft shade under the points: how many lie in each cell of 8 pixels, by the logarithm; to be drawn enlarged.
function makeShade(view, image) {
  const cell = Math.round(8 * view.ratio), across = Math.ceil(image.width / cell), down = Math.ceil(image.height / cell);
  const sums = new Float64Array(across * down);
  let most = 0;
  for (let y = 0, p = 0; y < image.height; y++) {
    const row = Math.floor(y / cell) * across;
    for (let x = 0; x < image.width; x++, p++) if (image.counts[p]) sums[row + Math.floor(x / cell)] += image.counts[p];
  }
  for (const sum of sums) if (sum > most) most = sum;
  const small = new OffscreenCanvas(across, down), shade = new ImageData(across, down);
  for (let c = 0; c < sums.length; c++) {
    shade.data.set(view.theme.text, 4 * c);
    shade.data[4 * c + 3] = most ? Math.round((90 * Math.log1p(sums[c])) / Math.log1p(most)) : 0;
  }
  small.getContext("2d").putImageData(shade, 0, 0);
  return { small, width: across * cell, height: down * cell };
}

function drawPoints(view) {
  const width = view.points.width, height = view.points.height;
  if (!width || !height) return;
  if (!view.image || view.image.width !== width || view.image.height !== height) {
    const data = new ImageData(width, height);
    view.image = { width, height, data, pixels: new Uint32Array(data.data.buffer), spare: new Uint16Array(width * height) };
  }
  const image = view.image, n = view.map.n;
  const isDense = n > DENSITY_FROM && view.zoom < DENSITY_BELOW_ZOOM;
  image.pixels.fill(0);
  image.counts = isDense ? image.spare.fill(0) : null;
  const stride = view.isMoving && n > MOST_WHILE_MOVING ? Math.ceil(n / MOST_WHILE_MOVING) : 1;
  stampAll(view, image, isDense, stride);
  if (isDense) weighPixels(image);
  const shade = isDense ? makeShade(view, image) : null;
  stampTray(view, image);
  const context = view.points.getContext("2d");
  context.putImageData(image.data, 0, 0);
  if (shade) {
    context.globalCompositeOperation = "destination-over";
    context.drawImage(shade.small, 0, 0, shade.width, shade.height);
    context.globalCompositeOperation = "source-over";
  }
  view.over.dataset.density = String(isDense);
}
