// One MapView a mounted component; it outlives reruns, so zoom, place and outline do too.

const LEAST_ZOOM = 0.5, MOST_ZOOM = 200, TELL_AFTER_MS = 300, FULL_AFTER_MS = 160;

class MapView {
  constructor(root) {
    this.root = root;
    this.points = root.querySelector(".points");
    this.over = root.querySelector(".over");
    Object.assign(this, { cx: GRID_MAX / 2, cy: GRID_MAX / 2, zoom: 1, width: 0, height: 0, ratio: 1, map: null });
    Object.assign(this, { polygon: [], drawn: null, hover: -1, current: -1, hitPlace: -1, mode: "move", drag: null });
    Object.assign(this, { fingers: new Map(), pinched: null, ownsPolygon: false, ownsView: false, isMoving: false });
    this.observer = new ResizeObserver(() => this.resize());
    this.observer.observe(root.querySelector(".stage"));
    listenPointer(this);
    listenKeys(this);
    listenButtons(this);
  }

  // Called at each run of the page: new data, a new theme, or nothing new at all.
  update(data, setStateValue, setTriggerValue) {
    this.setState = setStateValue;
    this.trigger = setTriggerValue;
    this.showTheme();
    try {
      this.take(decodePayload(data));
    } catch (error) {
      this.say(`This map could not be read: ${error.message}`);
    }
  }

  take(map) {
    const isNewCommand = this.map === null || map.command !== this.map.command || map.mapId !== this.map.mapId;
    const isNew = this.map === null || map.digest !== this.map.digest;
    if (isNewCommand) this.ownsPolygon = this.ownsView = false;
    if (!isNew) {
      this.map.command = map.command;
      this.map.mapId = map.mapId;
    } else {
      this.map = map;
      this.learn();
    }
    if (!this.ownsPolygon) this.polygon = map.startPolygon;
    if (!this.ownsView && (isNewCommand || map.startView)) {
      [this.cx, this.cy, this.zoom] = map.startView || [GRID_MAX / 2, GRID_MAX / 2, 1];
    }
    if (isNew || isNewCommand) this.recount();
    this.resize();
    this.redraw();
  }

  learn() {
    const map = this.map;
    this.cells = indexCells(map);
    this.trayPoints = [];
    this.hover = -1;
    if (this.current >= map.n) this.current = -1;
    this.isOnePlace = map.n > 1;
    let left = 0, picked = -1;
    for (let i = 0; i < map.n; i++) {
      if (map.flags[i] & PICKED) picked = i;
      if (map.flags[i] & IN_TRAY) this.trayPoints.push(i);
      if (map.flags[i] & FILTERED_OUT) left++;
      if (map.x[i] !== map.x[0] || map.y[i] !== map.y[0]) this.isOnePlace = false;
    }
    // A pick on the page becomes the point in hand, and leaves it again when it is closed there.
    if (picked >= 0 || this.wasPicked) this.current = picked;
    this.wasPicked = picked >= 0;
    this.over.dataset.current = String(this.current);
    this.root.querySelector(".legend").dataset.corner = emptiestCorner(map);
    this.nLeftOut = left;
    this.labels = [...map.words.labels].sort((one, other) => other[3] - one[3]);
    fillLegend(this);
    const parts = [`${spaced(map.n)} points`, `${map.hits.length / 2} hits`, `${this.trayPoints.length} in the tray`];
    this.over.setAttribute("aria-label", `Map of ${parts.join(", ")}. Arrows move, plus and minus zoom, question mark for help.`);
    this.over.dataset.n = String(map.n);
  }

  recount() {
    const inside = this.polygon.length ? countInside(this.map, this.polygon) : 0;
    this.over.dataset.polygon = JSON.stringify(this.polygon);
    this.over.dataset.inside = this.polygon.length ? String(inside) : "";
    this.root.querySelector("[data-does=clear]").disabled = !this.polygon.length;
    const { map } = this, parts = [];
    if (this.polygon.length) parts.push(`${spaced(inside)} of ${spaced(map.n)} points inside the outline.`);
    if (this.nLeftOut) parts.push(`${spaced(this.nLeftOut)} grey points are left out by the filter.`);
    if (map.words.rim) parts.push(`${spaced(map.words.rim)} points lie farther out and are drawn on the rim.`);
    this.say([...parts, ...map.words.notes].join(" "));
  }

  say(text) {
    const line = this.root.querySelector(".line");
    if (line.textContent !== text) line.textContent = text;
  }

  showTheme() {
    const theme = readTheme(this.root, this.over.getContext("2d"));
    if (JSON.stringify(theme) === JSON.stringify(this.theme)) return;
    this.theme = theme;
    if (this.map) { fillLegend(this); this.redraw(); }
  }

  resize() {
    const stage = this.root.querySelector(".stage"), ratio = Math.min(3, window.devicePixelRatio || 1);
    const width = stage.clientWidth, height = stage.clientHeight;
    if (width === this.width && height === this.height && ratio === this.ratio) return;
    Object.assign(this, { width, height, ratio });
    for (const canvas of [this.points, this.over]) {
      canvas.width = Math.round(width * ratio);
      canvas.height = Math.round(height * ratio);
    }
    this.redraw();
  }

  redraw() { this.isStale = true; this.redrawOverlay(); }

  redrawOverlay() {
    if (this.frame || !this.map) return;
    this.frame = requestAnimationFrame(() => { this.frame = 0; this.paint(); });
  }

  paint() {
    if (!this.width || !this.height) return;
    const began = performance.now(), shown = this.over.dataset;
    const isFull = this.isStale;
    if (isFull) drawPoints(this);
    drawOverlay(this);
    this.isStale = false;
    const spent = performance.now() - began;
    if (isFull) shown.drawMs = spent.toFixed(1);
    this.noteSpent(spent);
    shown.zoom = this.zoom.toFixed(2);
    shown.centre = `${Math.round(this.cx)},${Math.round(this.cy)}`;
    shown.ready = "true";
  }

  noteSpent(ms) {
    this.over.dataset.frameMsMax = Math.max(Number(this.over.dataset.frameMsMax || 0), ms).toFixed(1);
  }

  moveTo(cx, cy, zoom) {
    const within = (value) => Math.max(0, Math.min(GRID_MAX, value));
    Object.assign(this, { cx: within(cx), cy: within(cy), zoom: Math.max(LEAST_ZOOM, Math.min(MOST_ZOOM, zoom)) });
    this.isMoving = this.ownsView = true;
    clearTimeout(this.fullTimer);
    this.fullTimer = setTimeout(() => { this.isMoving = false; if (this.map.n > MOST_WHILE_MOVING) this.redraw(); }, FULL_AFTER_MS);
    this.redraw();
  }

  // What lies under a place of the screen stays under it.
  zoomAt(sx, sy, factor) {
    const before = makeTransform(this), gx = before.gx(sx), gy = before.gy(sy);
    const zoom = Math.max(LEAST_ZOOM, Math.min(MOST_ZOOM, this.zoom * factor)), shrunk = this.zoom / zoom;
    this.moveTo(gx - (gx - this.cx) * shrunk, gy - (gy - this.cy) * shrunk, zoom);
  }

  // Tells the server where we look, once the hand has come to rest.
  settle() {
    clearTimeout(this.tellTimer);
    this.tellTimer = setTimeout(() => {
      const view = [Math.round(this.cx), Math.round(this.cy), Math.round(this.zoom * 100) / 100];
      this.setState("view", { stamp: this.stamp(), view });
    }, TELL_AFTER_MS);
  }

  reset() {
    this.moveTo(GRID_MAX / 2, GRID_MAX / 2, 1);
    this.settle();
  }

  select(polygon) {
    if (!polygon.length && !this.polygon.length) { this.redrawOverlay(); return; }
    this.polygon = polygon;
    this.ownsPolygon = true;
    this.recount();
    this.redrawOverlay();
    this.setState("polygon", { stamp: this.stamp(), polygon });
  }

  pick(point) {
    if (point < 0) return;
    this.current = point;
    this.over.dataset.pick = String(point);
    this.redrawOverlay();
    this.trigger("pick", point);
  }

  stamp() { return `${this.map.mapId}:${this.map.command}`; }

  putInTray(point) { if (point >= 0) this.trigger("tray", point); }

  // The hit stepped to, else the point under the pointer, else the one nearest to the middle of the picture.
  pointInHand() {
    if (this.hover >= 0) return this.hover;
    if (this.current >= 0) return this.current;
    const place = makeTransform(this), far = Math.max(this.width, this.height) / 2;
    return nearestPoint(this.map, this.cells, this.cx, this.cy, far / place.kx, far / place.ky);
  }

  stepHit(step) {
    const { hits } = this.map, count = hits.length / 2;
    if (!count) { this.say("There are no hits on this map."); return; }
    this.hitPlace = this.hitPlace < 0 ? (step > 0 ? 0 : count - 1) : (this.hitPlace + step + count) % count;
    const i = (this.current = hits[2 * this.hitPlace + 1]);
    this.hover = -1;
    const place = makeTransform(this), x = place.x(this.map.x[i]), y = place.y(this.map.y[i]);
    if (x < 20 || y < 20 || x > this.width - 20 || y > this.height - 20) {
      this.moveTo(this.map.x[i], this.map.y[i], this.zoom);
      this.settle();
    }
    this.say(`Hit ${hits[2 * this.hitPlace]} of ${count}. ${this.describe(i).join(". ")}`);
    this.redrawOverlay();
  }

  escape() {
    const help = this.root.querySelector(".help");
    if (!help.hidden) help.hidden = true;
    else if (this.drawn) { this.drawn = null; this.drag = null; this.redrawOverlay(); }
    else { this.current = -1; this.select([]); }
  }

  toggleHelp() {
    const help = this.root.querySelector(".help");
    help.hidden = !help.hidden;
  }

  // It covers what lies in its corner.
  toggleLegend() {
    this.isLegendHidden = !this.root.querySelector(".legend").hidden;
    fillLegend(this);
    this.redrawOverlay();  // a label may take its place
  }

  setMode(mode) {
    this.mode = mode;
    for (const button of this.root.querySelectorAll("[aria-pressed]")) {
      button.setAttribute("aria-pressed", String(button.dataset.does === mode));
    }
    this.over.dataset.mode = mode;
  }

  describe(point) {
    const { map } = this, { words } = map, colour = map.colour[point];
    const entry = [...words.entries, ...words.unlisted].find((e) => e[1] === colour);
    const lines = [map.words.titles[point] || `Point ${spaced(point + 1)}`];
    if (entry) lines.push(`${map.words.title}: ${entry[0]}`);
    if (map.flags[point] & IN_TRAY) lines.push("in the tray");
    if (map.flags[point] & FILTERED_OUT) lines.push("left out by the filter");
    if (map.flags[point] & LOW_TRUST) lines.push("low trust: its neighbours in meaning lie elsewhere");
    if (map.flags[point] & PLACED) lines.push("placed later, beside its neighbours");
    return lines;
  }

  showTip(point, sx, sy) {
    const tip = this.root.querySelector(".tip");
    tip.hidden = point < 0;
    if (point < 0) return;
    if (tip.dataset.point !== String(point)) {
      tip.dataset.point = String(point);
      tip.replaceChildren(...this.describe(point).map((line) => {
        const node = document.createElement("div");
        node.textContent = line;
        return node;
      }));
    }
    const atRight = sx > this.width / 2;
    tip.style.left = atRight ? "auto" : `${sx + 14}px`;
    tip.style.right = atRight ? `${this.width - sx + 14}px` : "auto";
    tip.style.top = `${Math.max(4, Math.min(this.height - 70, sy - 10))}px`;
  }

  close() {
    this.observer.disconnect();
    cancelAnimationFrame(this.frame);
    clearTimeout(this.tellTimer);
    clearTimeout(this.fullTimer);
  }
}

export default function ({ data, parentElement, setStateValue, setTriggerValue }) {
  const root = parentElement.querySelector(".map");
  root.mapView ??= new MapView(root);
  const view = root.mapView;
  view.update(data, setStateValue, setTriggerValue);
  return () => { view.close(); delete root.mapView; };
}
