// What lies over the points: outline, hits, labels, the point in hand, and a sentence where there is little to see.
// All text is drawn or set as text; nothing that came with the data is ever read as markup.

const NUMBERED_HITS = 10, MOST_SHOWN_LABELS = 40, LABEL_ABOVE = 16;
const spaced = (number) => String(number).replace(/\B(?=(\d{3})+(?!\d))/g, "\u202f");

function tracePolygon(context, polygon, place) {
  context.beginPath();
  for (let i = 0; i < polygon.length; i += 2) context.lineTo(place.x(polygon[i]), place.y(polygon[i + 1]));
  context.closePath();
}

function drawOutline(view, context, place) {
  const polygon = view.drawn || view.polygon;
  if (polygon.length < 4) return;
  tracePolygon(context, polygon, place);
  context.fillStyle = css(view.theme.primary, 0.14);
  context.fill("evenodd");
  context.lineWidth = 1.75;
  context.strokeStyle = css(view.theme.primary);
  context.setLineDash(view.drawn ? [6, 4] : []);
  context.stroke();
  context.setLineDash([]);
}

function ring(context, x, y, radius, colour, width) {
  context.beginPath();
  context.arc(x, y, radius, 0, 2 * Math.PI);
  context.lineWidth = width;
  context.strokeStyle = colour;
  context.stroke();
}

function haloText(context, text, x, y, theme) {
  context.lineJoin = "round";
  context.lineWidth = 3.5;
  context.strokeStyle = css(theme.background, 0.9);
  context.strokeText(text, x, y);
  context.fillStyle = css(theme.text);
  context.fillText(text, x, y);
}

function drawHits(view, context, place) {
  const { map, theme } = view;
  context.font = `600 12px ${theme.font}`;
  context.textAlign = "left";
  context.textBaseline = "middle";
  for (let h = map.hits.length - 2; h >= 0; h -= 2) {  // the best last, on top
    const rank = map.hits[h], i = map.hits[h + 1], x = place.x(map.x[i]), y = place.y(map.y[i]);
    if (x < -20 || y < -20 || x > view.width + 20 || y > view.height + 20) continue;
    ring(context, x, y, 7, css(theme.background), 4.5);
    ring(context, x, y, 7, css(theme.text), 2);
    if (rank <= NUMBERED_HITS) haloText(context, String(rank), x + 10, y, theme);
  }
}

// Whether a label, given by its middle and half its width, would lie under the legend.
function isUnderLegend(box, x, y, half) {
  if (box.hidden) return false;
  const left = box.offsetLeft, top = box.offsetTop;
  return x + half > left && x - half < left + box.offsetWidth && y + 10 > top && y - 10 < top + box.offsetHeight;
}

// The heaviest first; one that would touch another or the legend is left out until there is room.
function drawLabels(view, context, place) {
  const taken = [], theme = view.theme, legend = view.root.querySelector(".legend");
  context.font = `600 13px ${theme.font}`;
  context.textAlign = "center";
  context.textBaseline = "middle";
  let shown = 0;
  for (const [text, gx, gy] of view.labels) {
    // Above its middle: the points that it names are seen, even where they are few.
    const x = place.x(gx), y = place.y(gy) - LABEL_ABOVE, half = context.measureText(text).width / 2 + 6;
    if (x - half < 0 || y < 10 || x + half > view.width || y > view.height - 10) continue;
    if (isUnderLegend(legend, x, y, half)) continue;
    if (taken.some(([tx, ty, other]) => Math.abs(tx - x) < half + other && Math.abs(ty - y) < 20)) continue;
    taken.push([x, y, half]);
    haloText(context, text, x, y, theme);
    if (++shown === MOST_SHOWN_LABELS) break;
  }
  view.over.dataset.labels = String(shown);
}

function sentenceOf(view) {
  const { map } = view;
  if (map.n === 0) return "Nothing is on this map yet.";
  if (map.n === 1) return "One point: a map needs more to show what lies near what.";
  return view.isOnePlace ? `All ${spaced(map.n)} points have the same position.` : "";
}

function drawSentence(view, context) {
  const sentence = sentenceOf(view);
  view.over.dataset.sentence = sentence;
  if (!sentence) return;
  context.font = `15px ${view.theme.font}`;
  context.textAlign = "center";
  context.textBaseline = "middle";
  haloText(context, sentence, view.width / 2, view.height / 2 + (view.map.n ? 36 : 0), view.theme);
}

function drawOverlay(view) {
  const context = view.over.getContext("2d"), place = makeTransform(view), { map, theme } = view;
  context.setTransform(view.ratio, 0, 0, view.ratio, 0, 0);
  context.clearRect(0, 0, view.width, view.height);
  drawOutline(view, context, place);
  drawLabels(view, context, place);
  drawHits(view, context, place);
  for (const [i, width] of [[view.hover, 2], [view.current, 3.5]]) {
    if (i >= 0 && i < map.n) ring(context, place.x(map.x[i]), place.y(map.y[i]), 10, css(theme.primary), width);
  }
  drawSentence(view, context);
}

// The legend as rows of [words, colour, count]; a scale is three rows of its colours.
function legendRows(view) {
  const { words } = view.map, palette = paletteOf(view.map, view.theme);
  const rows = words.entries.map(([label, colour, count]) => [label, palette[colour], spaced(count)]);
  if (words.rest.length) rows.push([words.rest[0], null, spaced(words.rest[1])]);
  return { title: words.title, ends: words.range, scale: words.range.length ? palette.slice(1) : [], rows };
}

// Where a legend hides the fewest points of the whole map.
function emptiestCorner(map) {
  const counts = { "bottom left": 0, "bottom right": 0, "top left": 0, "top right": 0 }, part = 0.36 * GRID_MAX;
  for (let i = 0; i < map.n; i++) {
    const across = map.x[i] < part ? "left" : map.x[i] > GRID_MAX - part ? "right" : "";
    const up = map.y[i] < part ? "bottom" : map.y[i] > GRID_MAX - part ? "top" : "";
    if (across && up) counts[`${up} ${across}`]++;
  }
  return Object.keys(counts).reduce((best, corner) => (counts[corner] < counts[best] ? corner : best));
}

function fillLegend(view) {
  const box = view.root.querySelector(".legend"), legend = legendRows(view);
  const make = (name, text = "") => {
    const node = document.createElement("div");
    node.className = name;
    node.textContent = text;
    return node;
  };
  const nodes = [make("title", legend.title)];
  if (legend.scale.length) {
    const bar = make("scale"), step = Math.max(1, Math.floor(legend.scale.length / 16));
    const stops = legend.scale.filter((_, i) => i % step === 0).map((rgb) => css(rgb));
    bar.style.background = `linear-gradient(to right, ${stops.join(", ")})`;
    const ends = make("ends");
    ends.append(make("", legend.ends[0]), make("", legend.ends[1]));
    nodes.push(bar, ends);
  }
  for (const [text, rgb, count] of legend.rows) {
    const row = make("row"), swatch = make("swatch");
    if (rgb) swatch.style.background = css(rgb);
    row.append(swatch, make("words", text), make("count", count));
    nodes.push(row);
  }
  box.replaceChildren(...nodes);
  // On a phone it would cover half the map, until it is asked for.
  const isHidden = view.isLegendHidden ?? window.matchMedia("(max-width: 640px)").matches;
  box.hidden = isHidden || (!legend.title && nodes.length === 1);
}

function drawLegend(view, context) {
  const legend = legendRows(view);
  if (!legend.title) return;
  const lines = [[legend.title, null], ...(legend.scale.length ? [[legend.ends.join(" \u2013 "), null]] : []), ...legend.rows];
  context.font = `12px ${view.theme.font}`;
  context.textAlign = "left";
  context.textBaseline = "middle";
  lines.forEach(([text, rgb, count], k) => {
    const y = view.height - 16 - 18 * (lines.length - 1 - k);
    if (rgb) { context.fillStyle = css(rgb); context.fillRect(12, y - 5, 10, 10); }
    haloText(context, rgb ? `${text}  ${count}` : text, rgb ? 28 : 12, y, view.theme);
  });
}

function savePicture(view) {
  const sheet = document.createElement("canvas");
  sheet.width = view.points.width;
  sheet.height = view.points.height;
  const context = sheet.getContext("2d");
  context.fillStyle = css(view.theme.background);
  context.fillRect(0, 0, sheet.width, sheet.height);
  context.drawImage(view.points, 0, 0);
  context.drawImage(view.over, 0, 0);
  context.setTransform(view.ratio, 0, 0, view.ratio, 0, 0);
  drawLegend(view, context);
  sheet.toBlob((blob) => {
    const link = document.createElement("a");
    link.href = URL.createObjectURL(blob);
    link.download = `map-${view.map.mapId.replace(/[^\w-]/g, "") || "view"}.png`;
    link.click();
    setTimeout(() => URL.revokeObjectURL(link.href), 10_000);
  }, "image/png");
}
