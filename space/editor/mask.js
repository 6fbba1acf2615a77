// The mask editor: brush, box, zoom, undo; by mouse, pen, fingers and keyboard. Strokes are vectors in the photo's pixels.
const BRUSHES = [0.005, 0.01, 0.02, 0.035, 0.06, 0.1]; // radius, as a share of the photo's longer side
const KEYBOARD_STEPS = 400; // along the longer side
const MOST_ZOOM = 16;
const TINT = { add: "rgba(0, 200, 120, 0.55)", remove: "rgba(230, 30, 90, 0.55)" };
const instances = new WeakMap();

export default function (component) {
  const { parentElement } = component;
  let own = instances.get(parentElement);
  if (!own) {
    own = new Editor(parentElement.querySelector(".root"), component.data.words);
    instances.set(parentElement, own);
  }
  own.update(component);
  return () => { own.close(); instances.delete(parentElement); };
}

class Editor {
  constructor(root, words) {
    this.root = root;
    this.words = words;
    this.listeners = new AbortController();
    this.tool = "add";
    this.view = "overlay";
    this.brush = 2;
    this.pointers = new Map();
    this.build();
    this.watch();
  }

  build() {
    const w = this.words;
    const icon = (path) => `<svg viewBox="0 0 20 20" aria-hidden="true"><path d="${path}"/></svg>`;
    const tool = (name, path) => `<button type="button" class="tool" data-tool="${name}" aria-pressed="false"
      title="${w[`${name}-help`]}">${icon(path)}<span>${w[name]}</span></button>`;
    const act = (name, path) => `<button type="button" class="act" data-act="${name}" aria-label="${w[name]}"
      title="${w[name]}">${icon(path)}</button>`;
    const view = (name) => `<button type="button" class="tool" data-view="${name}" aria-pressed="false">${w[name]}</button>`;
    const number = (name) => `<label>${w[name]}<input type="number" min="0" step="1" data-box="${name}"></label>`;
    this.root.innerHTML = `
      <section class="editor" aria-label="${w.editor}">
        <div class="bar" role="group" aria-label="${w.tools}">
          ${tool("add", "M10 3v14M3 10h14")}${tool("remove", "M3 10h14")}
          ${tool("box", "M3 4h14v12H3z")}${tool("move", "M10 2v16M2 10h16M7 5l3-3 3 3M7 15l3 3 3-3M5 7l-3 3 3 3M15 7l3 3-3 3")}
          <label class="size"><span>${w["brush-size"]}</span>
            <input type="range" min="0" max="${BRUSHES.length - 1}" step="1" aria-label="${w["brush-size"]}"></label>
          <span class="acts">
            ${act("undo", "M8 4L3 9l5 5M3 9h9a5 5 0 010 8h-2")}${act("redo", "M12 4l5 5-5 5M17 9H8a5 5 0 000 8h2")}
            ${act("start-over", "M4 6h12M8 6V4h4v2M6 6l1 11h6l1-11")}
            ${act("zoom-in", "M8 3a5 5 0 100 10A5 5 0 008 3zM12 12l5 5M8 6v4M6 8h4")}
            ${act("zoom-out", "M8 3a5 5 0 100 10A5 5 0 008 3zM12 12l5 5M6 8h4")}
            ${act("fit", "M3 7V3h4M13 3h4v4M17 13v4h-4M7 17H3v-4")}
          </span>
        </div>
        <div class="stage">
          <canvas tabindex="0" role="application" aria-label="${w["canvas-label"]}"></canvas>
          <div class="busy" hidden></div>
        </div>
        <div class="bar" role="group" aria-label="${w.show}">${view("overlay")}${view("cutout")}${view("black-white")}</div>
        <p class="covers" role="status"></p>
        <p class="downloads"></p>
        <p class="unseen crosshair" aria-live="polite"></p>
        <details class="numbers"><summary>${w["by-keyboard"]}</summary>
          <p>${w.keys}</p>
          <form>${number("left")}${number("top")}${number("width")}${number("height")}
            <button type="submit">${w["set-box"]}</button><button type="button" data-act="no-box">${w["no-box"]}</button>
          </form>
        </details>
      </section>`;
    this.part = (selector) => this.root.querySelector(selector);
    this.canvas = this.part("canvas");
    this.context = this.canvas.getContext("2d");
  }

  watch() {
    const { signal } = this.listeners;
    const on = (target, kind, act, more = {}) => target.addEventListener(kind, act, { signal, ...more });
    on(this.root, "click", (event) => {
      const button = event.target.closest("button");
      if (!button) return;
      if (button.dataset.tool) this.choose(button.dataset.tool);
      if (button.dataset.view) this.look(button.dataset.view);
      if (button.dataset.act) this.act(button.dataset.act);
    });
    on(this.part("input[type=range]"), "input", (event) => { this.brush = Number(event.target.value); this.draw(); });
    on(this.part("form"), "submit", (event) => { event.preventDefault(); this.boxFromNumbers(); });
    const { canvas } = this;
    on(canvas, "pointerdown", (event) => this.down(event));
    on(canvas, "pointermove", (event) => this.moved(event));
    for (const kind of ["pointerup", "pointercancel"]) on(canvas, kind, (event) => this.up(event));
    on(canvas, "pointerleave", () => { this.hover = null; this.draw(); });
    on(canvas, "wheel", (event) => this.wheel(event), { passive: false });
    // Streamlit has r, c and Esc for itself anywhere on the page.
    on(this.root, "keydown", (event) => { event.stopPropagation(); if (event.target === canvas) this.key(event); });
    on(this.root, "keyup", (event) => { event.stopPropagation(); if (event.key === " ") this.lift(); });
    on(canvas, "focus", () => this.draw());
    on(canvas, "blur", () => { this.lift(); this.draw(); });
    this.resizing = new ResizeObserver(() => this.resize());
    this.resizing.observe(this.part(".stage"));
  }

  close() { this.listeners.abort(); this.resizing.disconnect(); }

  update({ data, setStateValue }) {
    this.send = (strokes) => {
      this.number = (this.number ?? Date.now()) + 1;
      setStateValue("strokes", { visit: data.visit, photo: data.photo, number: this.number, strokes });
    };
    if (data.url !== this.url) {
      this.url = data.url;
      this.number = undefined;
      [this.width, this.height] = data.size;
      this.undone = [];
      this.past = [];
      this.pending = 0;
      this.maskUrl = null;
      this.mask = null;
      this.layers = null;
      this.cross = { x: Math.round(this.width / 2), y: Math.round(this.height / 2) };
      this.picture = null;
      this.load(data.url, (image) => { this.picture = image; this.layer(); this.fit(); });
    }
    // Python's strokes count once it has looked at the last that were sent: it may have refused them.
    const isAnswered = this.number === undefined || data.answered === this.number;
    if (isAnswered && JSON.stringify(this.strokes) !== JSON.stringify(data.strokes)) {
      this.strokes = data.strokes;
      if (JSON.stringify(this.past.at(-1)) === JSON.stringify(data.strokes)) this.past.pop();
    }
    const settled = Math.min(data.strokes.length, this.strokes.length);
    if (!data.sought && data.mask !== this.maskUrl) {
      this.maskUrl = data.mask;
      if (data.mask) this.load(data.mask, (image) => { this.mask = image; this.layer(); this.pending = settled; this.draw(); });
      else { this.mask = null; this.layer(); }
    }
    const covers = this.part(".covers");
    if (covers.textContent !== data.covers) covers.textContent = data.covers;
    if (data.sought) this.part(".busy").hidden = false;
    else if (isAnswered) this.part(".busy").hidden = true;
    if (data.sought && data.sought !== this.sought) setStateValue("asked", data.sought);
    this.sought = data.sought;
    const link = (one) => Object.assign(document.createElement("a"), { href: one.url, textContent: one.label, download: "" });
    this.part(".downloads").replaceChildren(...(data.mask ? data.downloads : []).map(link));
    this.showState();
  }

  load(url, then) {
    const image = new Image();
    image.onload = () => { if (url === this.url || url === this.maskUrl) then(image); };
    image.src = url;
  }

  // The looks of the mask, at its own size: one is drawn over the photo.
  layer() {
    this.layers = null;
    if (!this.picture || !this.mask) { this.draw(); return; }
    const { naturalWidth: w, naturalHeight: h } = this.mask;
    const make = () => Object.assign(document.createElement("canvas"), { width: w, height: h });
    const [flat, outside, inside] = [make(), make(), make()];
    const context = flat.getContext("2d", { willReadFrequently: true });
    context.drawImage(this.mask, 0, 0);
    const pixels = context.getImageData(0, 0, w, h);
    const veil = context.createImageData(w, h);
    const hole = context.createImageData(w, h);
    for (let i = 0; i < pixels.data.length; i += 4) {
      const alpha = pixels.data[i];
      veil.data[i] = 190; veil.data[i + 1] = 20; veil.data[i + 2] = 90; veil.data[i + 3] = (255 - alpha) * 0.55;
      hole.data[i + 3] = alpha;
    }
    outside.getContext("2d").putImageData(veil, 0, 0);
    const inner = inside.getContext("2d");
    inner.putImageData(hole, 0, 0);
    inner.globalCompositeOperation = "source-in";
    inner.drawImage(this.picture, 0, 0, w, h);
    this.layers = { overlay: outside, cutout: inside, "black-white": flat };
    this.draw();
  }

  resize() {
    const stage = this.part(".stage");
    const ratio = window.devicePixelRatio || 1;
    const width = stage.clientWidth;
    if (!width || !this.width) return;
    const height = Math.max(160, Math.min(window.innerHeight * 0.62, width * this.height / this.width));
    this.canvas.style.height = `${height}px`;
    this.canvas.width = Math.round(width * ratio);
    this.canvas.height = Math.round(height * ratio);
    this.ratio = ratio;
    if (!this.zoom || this.zoom === 1) this.fit(); else this.draw();
  }

  fit() {
    this.zoom = 1;
    this.shift = { x: 0, y: 0 };
    if (!this.ratio) this.resize();
    this.draw();
    this.showState();
  }

  // CSS pixels per pixel of the photo, and where the photo's corner is.
  frame() {
    const w = this.canvas.width / this.ratio;
    const h = this.canvas.height / this.ratio;
    const scale = this.zoom * Math.min(w / this.width, h / this.height);
    return { scale, x: (w - this.width * scale) / 2 + this.shift.x, y: (h - this.height * scale) / 2 + this.shift.y };
  }

  at(event) {
    const box = this.canvas.getBoundingClientRect();
    const frame = this.frame();
    return {
      x: Math.floor((event.clientX - box.left - frame.x) / frame.scale),
      y: Math.floor((event.clientY - box.top - frame.y) / frame.scale),
    };
  }

  radius() { return Math.max(1, Math.round(BRUSHES[this.brush] * Math.max(this.width, this.height))); }

  draw() {
    if (this.isDue) return;
    this.isDue = true;
    requestAnimationFrame(() => { this.isDue = false; this.paint(); });
  }

  paint() {
    const { context, canvas } = this;
    if (!this.picture || !this.ratio || !this.zoom) return;
    context.setTransform(1, 0, 0, 1, 0, 0);
    context.clearRect(0, 0, canvas.width, canvas.height);
    const { scale, x, y } = this.frame();
    const s = scale * this.ratio;
    context.setTransform(s, 0, 0, s, x * this.ratio, y * this.ratio);
    context.imageSmoothingEnabled = s < 4;
    const all = [0, 0, this.width, this.height];
    if (this.view === "overlay" || !this.layers) context.drawImage(this.picture, ...all);
    if (this.layers) context.drawImage(this.layers[this.view], ...all);
    const shown = this.line ? [...this.strokes.slice(this.pending), this.line] : this.strokes.slice(this.pending);
    for (const stroke of shown) if (stroke.points) this.stroke(stroke);
    const box = this.dragged ?? this.strokes.filter((one) => one.kind === "box").at(-1)?.box;
    if (box) {
      context.lineWidth = 4 / scale; context.strokeStyle = "#fff"; context.strokeRect(...box);
      context.lineWidth = 2 / scale; context.strokeStyle = "#111"; context.strokeRect(...box);
    }
    const isBrush = this.tool === "add" || this.tool === "remove";
    const spot = this.isFocused() && this.isByKey ? this.cross : this.hover;
    if (spot && isBrush) {
      for (const [colour, width] of [["#111", 3], ["#fff", 1.5]]) {
        context.lineWidth = width / scale; context.strokeStyle = colour;
        context.beginPath(); context.arc(spot.x + 0.5, spot.y + 0.5, this.radius(), 0, 7); context.stroke();
        if (this.isByKey) {
          const arm = 12 / scale;
          context.beginPath();
          context.moveTo(spot.x + 0.5 - arm, spot.y + 0.5); context.lineTo(spot.x + 0.5 + arm, spot.y + 0.5);
          context.moveTo(spot.x + 0.5, spot.y + 0.5 - arm); context.lineTo(spot.x + 0.5, spot.y + 0.5 + arm);
          context.stroke();
        }
      }
    }
  }

  isFocused() { return this.root.getRootNode().activeElement === this.canvas; }

  stroke({ kind, radius, points }) {
    const { context } = this;
    context.strokeStyle = context.fillStyle = TINT[kind];
    context.lineWidth = 2 * radius + 1;
    context.lineCap = context.lineJoin = "round";
    context.beginPath();
    context.moveTo(points[0][0] + 0.5, points[0][1] + 0.5);
    for (const [x, y] of points) context.lineTo(x + 0.5, y + 0.5);
    if (points.length === 1) { context.arc(points[0][0] + 0.5, points[0][1] + 0.5, radius, 0, 7); context.fill(); } else context.stroke();
  }

  begin(spot, kind = this.tool) { this.line = { kind, radius: this.radius(), points: [[spot.x, spot.y]] }; this.draw(); }

  extend(spot) {
    const [x, y] = this.line.points.at(-1);
    if (x !== spot.x || y !== spot.y) this.line.points.push([spot.x, spot.y]);
    this.draw();
  }

  lift() {
    if (!this.line) return;
    const line = this.line;
    this.line = null;
    this.commit(line);
  }

  commit(stroke) { this.change([...this.strokes, stroke]); }

  // What was there can be undone, even after a reload, when only the last stroke of each step is known.
  change(strokes) {
    this.past.push(this.strokes);
    this.undone = [];
    this.put(strokes);
  }

  canUndo() { return this.past?.length || this.strokes?.length; }

  put(strokes) {
    this.strokes = strokes;
    this.pending = Math.min(this.pending, strokes.length);
    this.part(".busy").hidden = false;
    this.send(strokes);
    this.showState();
    this.draw();
  }

  act(name) {
    const { x, y } = { x: this.canvas.clientWidth / 2, y: this.canvas.clientHeight / 2 };
    if (name === "undo" && this.canUndo()) {
      this.undone.push(this.strokes);
      this.put(this.past.pop() ?? this.strokes.slice(0, -1));
    }
    if (name === "redo" && this.undone.length) {
      this.past.push(this.strokes);
      this.put(this.undone.pop());
    }
    if (name === "start-over" && this.strokes.length) this.change([]);
    if (name === "no-box") this.commit({ kind: "box", box: null });
    if (name === "zoom-in") this.zoomAt(x, y, 1.5);
    if (name === "zoom-out") this.zoomAt(x, y, 1 / 1.5);
    if (name === "fit") this.fit();
  }

  choose(tool) { this.tool = tool; this.showState(); this.draw(); }

  look(view) { this.view = view; this.showState(); this.draw(); }

  showState() {
    for (const one of this.root.querySelectorAll("[data-tool]")) one.setAttribute("aria-pressed", one.dataset.tool === this.tool);
    for (const one of this.root.querySelectorAll("[data-view]")) one.setAttribute("aria-pressed", one.dataset.view === this.view);
    const able = (name, is) => { this.part(`[data-act="${name}"]`).disabled = !is; };
    able("undo", this.canUndo());
    able("redo", this.undone?.length);
    able("start-over", this.strokes?.length);
    able("zoom-out", this.zoom > 1);
    able("fit", this.zoom > 1);
    able("zoom-in", !this.zoom || this.zoom < MOST_ZOOM);
    const range = this.part("input[type=range]");
    range.value = this.brush;
    range.setAttribute("aria-valuetext", `${this.width ? 2 * this.radius() + 1 : 0} px`);
    const isLoose = this.tool === "move" && (this.zoom ?? 1) === 1;
    this.canvas.style.touchAction = isLoose ? "pan-y" : "none";
    this.canvas.style.cursor = this.tool === "move" ? "grab" : "crosshair";
    const box = this.strokes?.filter((one) => one.kind === "box").at(-1)?.box;
    ["left", "top", "width", "height"].forEach((name, i) => {
      const input = this.part(`[data-box="${name}"]`);
      input.max = i % 2 ? this.height : this.width;
      if (!input.matches(":focus")) input.value = box ? box[i] : "";
    });
  }

  boxFromNumbers() {
    const values = ["left", "top", "width", "height"].map((name) => Number(this.part(`[data-box="${name}"]`).value));
    if (values.every(Number.isFinite) && values[2] >= 2 && values[3] >= 2) this.commit({ kind: "box", box: values });
  }

  zoomAt(x, y, by) {
    const before = this.frame();
    this.zoom = Math.min(MOST_ZOOM, Math.max(1, this.zoom * by));
    if (this.zoom < 1.02) { this.fit(); return; }
    const after = this.frame();
    // The photo's point under (x, y) stays there.
    this.shift.x += x - after.x - (x - before.x) * after.scale / before.scale;
    this.shift.y += y - after.y - (y - before.y) * after.scale / before.scale;
    this.showState();
    this.draw();
  }

  wheel(event) {
    if (!event.ctrlKey && !event.metaKey && this.zoom === 1) return; // the page scrolls
    event.preventDefault();
    if (event.ctrlKey || event.metaKey) {
      const box = this.canvas.getBoundingClientRect();
      this.zoomAt(event.clientX - box.left, event.clientY - box.top, Math.exp(-event.deltaY / 300));
    } else this.pan(-event.deltaX, -event.deltaY);
  }

  pan(x, y) { this.shift.x += x; this.shift.y += y; this.draw(); }

  down(event) {
    if (!this.picture) return;
    this.isByKey = false;
    this.pointers.set(event.pointerId, { x: event.clientX, y: event.clientY });
    try { this.canvas.setPointerCapture(event.pointerId); } catch { /* gone already */ }
    if (this.pointers.size > 1) { this.line = null; this.dragged = null; this.draw(); return; } // two fingers
    if (event.button === 1 || this.tool === "move") { event.preventDefault(); return; }
    if (event.button !== 0) return;
    const spot = this.at(event);
    if (this.tool === "box") { this.corner = spot; this.dragged = null; } else this.begin(spot);
  }

  moved(event) {
    if (!this.picture) return;
    const last = this.pointers.get(event.pointerId);
    const now = { x: event.clientX, y: event.clientY };
    const spot = this.at(event);
    this.hover = event.pointerType === "touch" ? null : spot;
    if (last && this.pointers.size === 2) this.pinch(event.pointerId, last, now);
    else if (last && this.line) {
      const all = event.getCoalescedEvents ? event.getCoalescedEvents() : [];
      for (const one of all.length ? all : [event]) this.extend(this.at(one));
    } else if (last && this.tool === "box" && this.corner) this.dragged = this.between(this.corner, spot);
    else if (last && this.zoom > 1) this.pan(now.x - last.x, now.y - last.y);
    if (last) this.pointers.set(event.pointerId, now);
    this.draw();
  }

  pinch(id, last, now) {
    const [other] = [...this.pointers].filter(([one]) => one !== id).map(([, spot]) => spot);
    const box = this.canvas.getBoundingClientRect();
    const gap = (spot) => Math.hypot(spot.x - other.x, spot.y - other.y) || 1;
    this.zoomAt((now.x + other.x) / 2 - box.left, (now.y + other.y) / 2 - box.top, gap(now) / gap(last));
    if (this.zoom > 1) this.pan((now.x - last.x) / 2, (now.y - last.y) / 2);
  }

  between(a, b) {
    const x = Math.max(0, Math.min(a.x, b.x));
    const y = Math.max(0, Math.min(a.y, b.y));
    return [x, y, Math.min(this.width, Math.max(a.x, b.x) + 1) - x, Math.min(this.height, Math.max(a.y, b.y) + 1) - y];
  }

  up(event) {
    this.pointers.delete(event.pointerId);
    if (event.type === "pointercancel") { this.line = null; this.dragged = null; this.corner = null; this.draw(); return; }
    if (this.line) this.lift();
    if (this.dragged) {
      const box = this.dragged;
      if (box[2] >= 8 && box[3] >= 8) this.commit({ kind: "box", box });
    }
    this.dragged = this.corner = null;
    this.draw();
  }

  key(event) {
    const step = Math.max(1, Math.round(Math.max(this.width, this.height) / KEYBOARD_STEPS)) * (event.shiftKey ? 10 : 1);
    const moves = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };
    const key = event.key.toLowerCase();
    const isCommand = event.ctrlKey || event.metaKey;
    if (moves[event.key] && !isCommand) {
      const [x, y] = moves[event.key];
      this.isByKey = true;
      this.cross = {
        x: Math.min(this.width - 1, Math.max(0, this.cross.x + x * step)),
        y: Math.min(this.height - 1, Math.max(0, this.cross.y + y * step)),
      };
      if (this.line) this.extend(this.cross);
      this.follow();
      this.part(".crosshair").textContent = this.words.crosshair.replace("{x}", this.cross.x).replace("{y}", this.cross.y);
    } else if (event.key === " ") {
      this.isByKey = true;
      if (!event.repeat) this.begin(this.cross, this.tool === "remove" ? "remove" : "add");
    } else if (isCommand && key === "z") this.act(event.shiftKey ? "redo" : "undo");
    else if (isCommand && key === "y") this.act("redo");
    else if (isCommand) return;
    else if (key === "[") this.brush = Math.max(0, this.brush - 1);
    else if (key === "]") this.brush = Math.min(BRUSHES.length - 1, this.brush + 1);
    else if (key === "x") this.choose(this.tool === "remove" ? "add" : "remove");
    else if (key === "+" || key === "=") this.act("zoom-in");
    else if (key === "-") this.act("zoom-out");
    else if (key === "0") this.act("fit");
    else if (key === "escape") this.line = null;
    else return;
    event.preventDefault();
    this.showState();
    this.draw();
  }

  // Zoomed in, the crosshair stays in sight.
  follow() {
    const { scale, x, y } = this.frame();
    const spot = { x: x + this.cross.x * scale, y: y + this.cross.y * scale };
    const w = this.canvas.clientWidth;
    const h = this.canvas.clientHeight;
    this.pan(Math.max(0, 20 - spot.x) - Math.max(0, spot.x - w + 20), Math.max(0, 20 - spot.y) - Math.max(0, spot.y - h + 20));
  }
}
