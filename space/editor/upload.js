// Brings a photo by drop, click, paste, camera or sample, and remembers the visit in this browser.
const REMEMBERED = "cyclorama-visit";
const instances = new WeakMap();

export default function (component) {
  const { parentElement } = component;
  let own = instances.get(parentElement);
  if (!own) {
    own = new Upload(parentElement.querySelector(".root"));
    instances.set(parentElement, own);
  }
  own.update(component);
  return () => { own.close(); instances.delete(parentElement); };
}

class Upload {
  constructor(root) {
    this.root = root;
    this.listeners = new AbortController();
    const { signal } = this.listeners;
    root.innerHTML = `
      <section class="upload">
        <div class="zone">
          <img class="current" alt="" hidden>
          <p class="drop"></p>
          <div class="buttons">
            <button type="button" class="primary choose"></button>
            <button type="button" class="camera" hidden></button>
          </div>
          <p class="kinds"></p>
          <input type="file" class="file" accept="image/*,.heic,.heif,.avif" tabindex="-1" aria-hidden="true" hidden>
          <input type="file" class="shot" accept="image/*" capture="environment" tabindex="-1" aria-hidden="true" hidden>
          <progress max="1" hidden></progress>
        </div>
        <p class="message" role="alert"></p>
        <div class="samples" role="group" hidden></div>
      </section>`;
    this.part = (selector) => root.querySelector(selector);
    const zone = this.part(".zone");
    for (const name of ["file", "shot"]) {
      const input = this.part(`.${name}`);
      input.addEventListener("change", () => {
        if (input.files[0]) this.send(input.files[0]);
        input.value = "";
      }, { signal });
    }
    this.part(".choose").addEventListener("click", () => this.part(".file").click(), { signal });
    this.part(".camera").addEventListener("click", () => this.part(".shot").click(), { signal });
    zone.addEventListener("dragover", (event) => { event.preventDefault(); zone.classList.add("over"); }, { signal });
    zone.addEventListener("dragleave", () => zone.classList.remove("over"), { signal });
    zone.addEventListener("drop", (event) => {
      event.preventDefault();
      zone.classList.remove("over");
      this.sendFirst(event.dataTransfer.files);
    }, { signal });
    // A photo dropped beside the zone must not replace the page.
    for (const kind of ["dragover", "drop"]) {
      document.addEventListener(kind, (event) => event.preventDefault(), { signal });
    }
    document.addEventListener("paste", (event) => {
      const isText = event.composedPath().some((one) => one.tagName === "TEXTAREA" || one.tagName === "INPUT");
      const files = event.clipboardData ? event.clipboardData.files : [];
      if (files.length && !(isText && event.clipboardData.types.includes("text/plain")) && this.takesPaste()) {
        this.sendFirst(files);
      }
    }, { signal });
  }

  close() { this.listeners.abort(); }

  // A picture to go behind is asked for later than the photo, so it is what a paste then means.
  takesPaste() { return !this.data.isPhoto || !document.querySelector(".st-key-backdrop"); }

  update({ data, setStateValue }) {
    this.data = data;
    this.tell = (value) => setStateValue("brought", value);
    const { words } = data;
    const { hasOne } = data;
    this.part(".upload").classList.toggle("compact", hasOne);
    this.part(".drop").textContent = words.drop;
    this.part(".choose").textContent = hasOne ? words["choose-other"] : words.choose;
    this.part(".camera").textContent = words.camera;
    this.part(".camera").hidden = !(data.isPhoto && matchMedia("(pointer: coarse)").matches);
    this.part(".kinds").textContent = words.kinds;
    const current = this.part(".current");
    current.hidden = !data.current;
    if (data.current) current.src = data.current;
    this.showSamples(data.samples, words.samples);
    if (data.isPhoto) this.remember();
  }

  showSamples(samples, title) {
    const box = this.part(".samples");
    box.hidden = !samples.length;
    box.setAttribute("aria-label", title);
    if (box.dataset.shown === JSON.stringify(samples)) return;
    box.dataset.shown = JSON.stringify(samples);
    box.replaceChildren(Object.assign(document.createElement("p"), { textContent: title }), ...samples.map((sample) => {
      const button = document.createElement("button");
      button.type = "button";
      button.setAttribute("aria-label", sample.label);
      button.append(Object.assign(document.createElement("img"), { src: sample.url, alt: "" }));
      button.addEventListener("click", async () => {
        try {
          const answer = await fetch(sample.url);
          this.send(new File([await answer.blob()], sample.name, { type: "image/jpeg" }));
        } catch { this.say(this.data.words["not-sent"]); }
      });
      return button;
    }));
  }

  // The address has the visit; after a reload inside another site's frame it has not, so the browser remembers too.
  remember() {
    try {
      if (this.data.isExpired) {
        localStorage.removeItem(REMEMBERED);
      } else if (this.data.visit) {
        localStorage.setItem(REMEMBERED, this.data.visit);
      } else if (!this.hasAsked) {
        this.hasAsked = true;
        const visit = localStorage.getItem(REMEMBERED);
        if (visit) this.tell(`${visit}:remembered`);
      }
    } catch { /* a browser may forbid it */ }
  }

  sendFirst(files) { if (files.length) this.send(files[0]); }

  say(text) { this.part(".message").textContent = text; }

  send(file) {
    const { data } = this;
    const { words } = data;
    this.say("");
    if (file.size > data.mostBytes) {
      const megabytes = (bytes) => (bytes / 1e6).toFixed(bytes < 1e7 ? 1 : 0);
      this.say(words["too-large"].replace("{got}", megabytes(file.size)).replace("{most}", megabytes(data.mostBytes)));
      return;
    }
    const progress = this.part("progress");
    const request = new XMLHttpRequest();
    const form = new FormData();
    form.append("called", file.name);
    form.append("file", file);
    request.open("POST", data.where);
    request.setRequestHeader("x-visit", data.visit);
    request.upload.addEventListener("progress", (event) => {
      progress.value = event.lengthComputable ? event.loaded / event.total : 0;
    });
    const done = () => { progress.hidden = true; this.part(".upload").classList.remove("sending"); };
    request.addEventListener("error", () => { done(); this.say(words["not-sent"]); });
    request.addEventListener("load", () => {
      done();
      let answer = {};
      try { answer = JSON.parse(request.responseText); } catch { /* told below */ }
      if (request.status === 200) {
        this.tell(`${answer.visit}:${answer.photo ?? answer.backdrop}`);
        return;
      }
      const { code, message } = answer.error ?? {};
      const text = data.errors[code] ?? "{error}";
      this.say(code || message ? text.replace("{error}", message) : words["not-sent"]);
    });
    progress.value = 0;
    progress.hidden = false;
    progress.setAttribute("aria-label", words.sending);
    this.part(".upload").classList.add("sending");
    request.send(form);
  }
}
