// Reads the bytes of app/map_payload.py. What does not fit together is an error, never a half map.

const HEAD_BYTES = 336;
const GRID_MAX = 65535;
const HIT = 1, IN_TRAY = 2, FILTERED_OUT = 4, LOW_TRUST = 8, PLACED = 16, PICKED = 32;

function decodePayload(sent) {
  // The bytes may lie at an odd place of a larger message; typed arrays need an even one.
  const bytes = sent.byteOffset % 4 ? sent.slice() : sent;
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  if (bytes.byteLength < HEAD_BYTES || view.getUint32(0, true) !== 1) throw new Error("not a map of version 1");
  const u32 = (at) => view.getUint32(at, true), f32 = (at) => view.getFloat32(at, true);
  const n = u32(4), nHits = u32(44), nColours = u32(48), nWords = u32(52), nCorners = u32(68);
  let at = bytes.byteOffset + HEAD_BYTES;
  const take = (kind, count) => {
    const part = new kind(bytes.buffer, at, count);
    at += part.byteLength + ((4 - (part.byteLength % 4)) % 4);
    return part;
  };
  const map = {
    n,
    mapId: new TextDecoder().decode(bytes.subarray(8, 24)).replace(/\0+$/, ""),
    box: [f32(24), f32(28), f32(32), f32(36)],
    command: u32(40),
    startView: f32(64) > 0 ? [f32(56), f32(60), f32(64)] : null,
    startPolygon: Array.from(new Uint16Array(bytes.buffer, bytes.byteOffset + 80, Math.min(nCorners, 64) * 2)),
    digest: Array.from(bytes.subarray(72, 80)).join("."),
    x: take(Uint16Array, n),
    y: take(Uint16Array, n),
    colour: take(Uint8Array, n),
    flags: take(Uint8Array, n),
    hits: take(Uint32Array, nHits * 2),
    palettes: take(Uint8Array, nColours * 6),
    words: null,
  };
  map.words = JSON.parse(new TextDecoder().decode(take(Uint8Array, nWords)));
  if (at - bytes.byteOffset !== bytes.byteLength) throw new Error("a map of another length than it says");
  return map;
}

// Points by cell of a 256 x 256 grid, so that the point under the pointer is found without asking all of them.
function indexCells(map) {
  const starts = new Uint32Array(65537), points = new Uint32Array(map.n);
  const cell = (i) => (map.y[i] >> 8) * 256 + (map.x[i] >> 8);
  for (let i = 0; i < map.n; i++) starts[cell(i) + 1]++;
  for (let c = 0; c < 65536; c++) starts[c + 1] += starts[c];
  const next = starts.slice(0, 65536);
  for (let i = 0; i < map.n; i++) points[next[cell(i)]++] = i;
  return { starts, points };
}

// The nearest point within a radius around a place; radii in grid units, apart for x and y. -1 when there is none.
function nearestPoint(map, cells, gx, gy, rx, ry) {
  const clip = (v) => Math.max(0, Math.min(255, Math.floor(v / 256)));
  let best = -1, least = 1;
  for (let row = clip(gy - ry); row <= clip(gy + ry); row++) {
    const first = cells.starts[row * 256 + clip(gx - rx)], last = cells.starts[row * 256 + clip(gx + rx) + 1];
    for (let k = first; k < last; k++) {
      const i = cells.points[k], dx = (map.x[i] - gx) / rx, dy = (map.y[i] - gy) / ry;
      const far = dx * dx + dy * dy;
      if (far < least || (far === least && best >= 0 && i < best)) { least = far; best = i; }
    }
  }
  return best;
}
