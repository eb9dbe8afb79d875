// Outlines: flat lists x0, y0, x1, y1, ... in grid units. What leaves here is at most 64 corners of whole numbers.

const MOST_CORNERS = 64;

// Sutherland and Hodgman: the part of an outline within the grid.
function clipToGrid(polygon) {
  let kept = polygon;
  for (const axis of [0, 1]) {
    for (const [edge, sign] of [[0, 1], [GRID_MAX, -1]]) {
      const given = kept;
      kept = [];
      for (let i = 0; i < given.length; i += 2) {
        const j = (i + given.length - 2) % given.length;
        const here = sign * (given[i + axis] - edge), before = sign * (given[j + axis] - edge);
        if ((here >= 0) !== (before >= 0)) {
          const share = before / (before - here);
          kept.push(given[j] + share * (given[i] - given[j]), given[j + 1] + share * (given[i + 1] - given[j + 1]));
          kept[kept.length - 2 + axis] = edge;
        }
        if (here >= 0) kept.push(given[i], given[i + 1]);
      }
    }
  }
  return kept;
}

// Douglas and Peucker between two corners, without recursion: a long drawn line would exhaust the stack.
function keepFar(polygon, from, to, tolerance, keep) {
  const spans = [[from, to]];
  while (spans.length) {
    const [a, b] = spans.pop();
    const ax = polygon[2 * a], ay = polygon[2 * a + 1], dx = polygon[2 * b] - ax, dy = polygon[2 * b + 1] - ay;
    const length = Math.hypot(dx, dy);
    let farthest = -1, most = tolerance;
    for (let i = a + 1; i < b; i++) {
      const px = polygon[2 * i] - ax, py = polygon[2 * i + 1] - ay;
      const far = length > 0 ? Math.abs(px * dy - py * dx) / length : Math.hypot(px, py);
      if (far > most) { most = far; farthest = i; }
    }
    if (farthest >= 0) {
      keep[farthest] = 1;
      spans.push([a, farthest], [farthest, b]);
    }
  }
}

function thinOut(polygon, tolerance) {
  const count = polygon.length / 2;
  if (count <= 3) return polygon;
  let opposite = 1, most = -1;
  for (let i = 1; i < count; i++) {
    const far = Math.hypot(polygon[2 * i] - polygon[0], polygon[2 * i + 1] - polygon[1]);
    if (far > most) { most = far; opposite = i; }
  }
  const closed = polygon.concat(polygon.slice(0, 2));
  const keep = new Uint8Array(count + 1);
  keep[0] = keep[opposite] = 1;
  keepFar(closed, 0, opposite, tolerance, keep);
  keepFar(closed, opposite, count, tolerance, keep);
  return polygon.filter((_, i) => keep[i >> 1]);
}

function roundOff(polygon) {
  const whole = polygon.map((v) => Math.max(0, Math.min(GRID_MAX, Math.round(v))));
  return whole.filter((_, i) => {
    const c = i - (i % 2), before = (c + whole.length - 2) % whole.length;
    return whole[c] !== whole[before] || whole[c + 1] !== whole[before + 1];
  });
}

// A drawn outline made fit to be sent: 3 to 64 corners, or [] when nothing of it is left.
function finishPolygon(drawn, tolerance) {
  const clipped = clipToGrid(drawn);
  let least = tolerance, done = roundOff(thinOut(clipped, least));
  while (done.length > 2 * MOST_CORNERS) {
    least *= 1.4;
    done = roundOff(thinOut(clipped, least));
  }
  return done.length >= 6 ? done : [];
}

// How many points lie inside, by the rule the server uses: even-odd, half open, exact in whole numbers (all products
// stay below 2^53).
function countInside(map, polygon) {
  let inside = 0;
  const corners = polygon.length / 2;
  for (let i = 0; i < map.n; i++) {
    const px = map.x[i], py = map.y[i];
    let odd = false;
    for (let a = 0, b = corners - 1; a < corners; b = a++) {
      const y1 = polygon[2 * a + 1], y2 = polygon[2 * b + 1];
      if ((y1 > py) === (y2 > py)) continue;
      const left = (px - polygon[2 * a]) * (y2 - y1), right = (polygon[2 * b] - polygon[2 * a]) * (py - y1);
      if (y2 > y1 ? left < right : left > right) odd = !odd;
    }
    if (odd) inside++;
  }
  return inside;
}
