// Mouse, touch and keyboard. Everything that can be done with the pointer has a key or a button.

const PICK_PX = 6, CLICK_PX = 4, PAN_SHARE = 0.12;

function placeOf(view, event) {
  const box = view.over.getBoundingClientRect();
  return [event.clientX - box.left, event.clientY - box.top];
}

function pointUnder(view, sx, sy) {
  const place = makeTransform(view);
  return nearestPoint(view.map, view.cells, place.gx(sx), place.gy(sy), PICK_PX / place.kx, PICK_PX / place.ky);
}

function extendDrawing(view, sx, sy) {
  const place = makeTransform(view), gx = place.gx(sx), gy = place.gy(sy);
  if (view.drag.kind === "box") {
    const [x0, y0] = view.drag.origin;
    view.drawn = [x0, y0, gx, y0, gx, gy, x0, gy];
  } else {
    view.drawn.push(gx, gy);
  }
}

function beginDrag(view, event) {
  const [sx, sy] = placeOf(view, event), place = makeTransform(view);
  const kind = event.shiftKey ? "lasso" : view.mode;
  view.drag = { kind, sx, sy, cx: view.cx, cy: view.cy, isClick: true, origin: [place.gx(sx), place.gy(sy)] };
  if (kind !== "move") view.drawn = [];
}

function moveDrag(view, event) {
  const drag = view.drag, [sx, sy] = placeOf(view, event);
  if (Math.hypot(sx - drag.sx, sy - drag.sy) >= CLICK_PX) drag.isClick = false;
  if (drag.kind === "move") {
    if (drag.isClick) return;
    const place = makeTransform(view);
    view.moveTo(drag.cx - (sx - drag.sx) / place.kx, drag.cy + (sy - drag.sy) / place.ky, view.zoom);
  } else {
    // A fast hand moves farther than one event a frame tells.
    const steps = event.getCoalescedEvents ? event.getCoalescedEvents() : [];
    for (const step of drag.kind === "lasso" && steps.length ? steps : [event]) extendDrawing(view, ...placeOf(view, step));
    view.redrawOverlay();
  }
}

function endDrag(view) {
  const drag = view.drag;
  view.drag = null;
  if (drag.isClick) {
    view.drawn = null;
    const point = pointUnder(view, drag.sx, drag.sy);
    if (point >= 0) view.pick(point);
    else view.redrawOverlay();
  } else if (drag.kind !== "move") {
    const place = makeTransform(view), drawn = view.drawn;
    view.drawn = null;
    view.setMode("move");
    view.select(finishPolygon(drawn, 0.75 / Math.max(place.kx, place.ky)));
  } else {
    view.settle();
  }
}

function pinch(view) {
  const [one, other] = [...view.fingers.values()];
  const far = Math.hypot(one[0] - other[0], one[1] - other[1]);
  const middle = [(one[0] + other[0]) / 2, (one[1] + other[1]) / 2];
  if (view.pinched) {
    view.zoomAt(...middle, far / view.pinched.far);
    const place = makeTransform(view), before = view.pinched.middle;
    view.moveTo(view.cx - (middle[0] - before[0]) / place.kx, view.cy + (middle[1] - before[1]) / place.ky, view.zoom);
  }
  view.pinched = { far: Math.max(far, 1), middle };
}

function hoverAt(view, event) {
  const began = performance.now(), [sx, sy] = placeOf(view, event);
  const point = view.map ? pointUnder(view, sx, sy) : -1;
  view.showTip(point, sx, sy);
  view.noteSpent(performance.now() - began);
  if (point !== view.hover) {
    view.hover = point;
    view.redrawOverlay();
  }
}

function listenPointer(view) {
  const over = view.over;
  over.addEventListener("pointerdown", (event) => {
    if (!view.map || event.button > 0) return;
    over.setPointerCapture(event.pointerId);
    over.focus({ preventScroll: true });
    view.fingers.set(event.pointerId, placeOf(view, event));
    if (view.fingers.size === 1) beginDrag(view, event);
    else { view.drag = view.drawn = view.pinched = null; if (view.fingers.size === 2) pinch(view); }
    view.showTip(-1, 0, 0);
  });
  over.addEventListener("pointermove", (event) => {
    if (view.fingers.has(event.pointerId)) view.fingers.set(event.pointerId, placeOf(view, event));
    if (view.fingers.size === 2) pinch(view);
    else if (view.drag) moveDrag(view, event);
    else if (!view.fingers.size) hoverAt(view, event);
  });
  const end = (event) => {
    if (!view.fingers.delete(event.pointerId)) return;
    if (view.drag && event.type === "pointerup") endDrag(view);
    else { view.drag = null; view.drawn = null; view.pinched = null; view.settle(); }
  };
  over.addEventListener("pointerup", end);
  over.addEventListener("pointercancel", end);
  over.addEventListener("pointerleave", () => { view.hover = -1; view.showTip(-1, 0, 0); view.redrawOverlay(); });
  over.addEventListener("dblclick", () => view.reset());
  over.addEventListener("wheel", (event) => {
    event.preventDefault();
    // Lines instead of pixels come from some mice; a pinch on a touch pad comes as a wheel with Ctrl.
    const step = event.deltaY * (event.deltaMode === 1 ? 30 : 1) * (event.ctrlKey ? 4 : 1);
    view.zoomAt(...placeOf(view, event), Math.exp(-Math.max(-300, Math.min(300, step)) / 400));
    view.settle();
  }, { passive: false });
}

function keyActions(view) {
  const pan = (dx, dy) => () => {
    const place = makeTransform(view), step = PAN_SHARE * Math.min(view.width, view.height);
    view.moveTo(view.cx + (dx * step) / place.kx, view.cy + (dy * step) / place.ky, view.zoom);
    view.settle();
  };
  const zoom = (factor) => () => { view.zoomAt(view.width / 2, view.height / 2, factor); view.settle(); };
  return {
    ArrowLeft: pan(-1, 0), ArrowRight: pan(1, 0), ArrowUp: pan(0, 1), ArrowDown: pan(0, -1),
    "+": zoom(1.4), "=": zoom(1.4), "-": zoom(1 / 1.4), 0: () => view.reset(),
    n: () => view.stepHit(1), p: () => view.stepHit(-1),
    Enter: () => view.pick(view.pointInHand()), t: () => view.putInTray(view.pointInHand()),
    Escape: () => view.escape(), "?": () => view.toggleHelp(),
  };
}

function listenKeys(view) {
  const actions = keyActions(view);
  view.over.addEventListener("keydown", (event) => {
    const action = actions[event.key];
    if (!action || !view.map || event.ctrlKey || event.metaKey || event.altKey) return;
    event.preventDefault();
    event.stopPropagation();  // letters are shortcuts of the page around, too
    action();
  });
}

function listenButtons(view) {
  const centre = (factor) => { view.zoomAt(view.width / 2, view.height / 2, factor); view.settle(); };
  const actions = {
    move: () => view.setMode("move"), lasso: () => view.setMode("lasso"), box: () => view.setMode("box"),
    in: () => centre(1.5), out: () => centre(1 / 1.5), reset: () => view.reset(), clear: () => view.select([]),
    png: () => savePicture(view), help: () => view.toggleHelp(), legend: () => view.toggleLegend(),
  };
  for (const button of view.root.querySelectorAll("button")) {
    button.addEventListener("click", () => { if (view.map) actions[button.dataset.does](); });
  }
}
