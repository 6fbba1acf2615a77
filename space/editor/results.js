// A picture and the photo with a slider between them, the other pictures, and downloads.
const instances = new WeakMap();

export default function (component) {
  const { parentElement } = component;
  let own = instances.get(parentElement);
  if (!own) {
    own = new Results(parentElement.querySelector(".root"));
    instances.set(parentElement, own);
  }
  own.update(component);
  return () => instances.delete(parentElement);
}

class Results {
  constructor(root) {
    root.innerHTML = `
      <section class="results">
        <div class="frame">
          <div class="compare"><img class="after"><img class="before"><div class="edge"></div>
            <input type="range" min="0" max="100" value="50" step="1"></div>
          <div class="legend" aria-hidden="true"><span class="left"></span><span class="right"></span></div>
        </div>
        <div class="strip" role="group"></div>
        <p class="downloads"></p>
      </section>`;
    this.part = (selector) => root.querySelector(selector);
    this.range = this.part("input");
    this.range.addEventListener("input", () => this.split());
    root.addEventListener("keydown", (event) => event.stopPropagation());
  }

  split() {
    const share = Number(this.range.value);
    this.part(".before").style.clipPath = `inset(0 ${100 - share}% 0 0)`;
    this.part(".edge").style.left = `${share}%`;
    this.part(".edge").hidden = share === 0 || share === 100;
  }

  update({ data, setStateValue }) {
    const { words } = data;
    // What was painted while one looked elsewhere comes into sight; what is there at first stays where it is.
    if (this.of !== undefined && this.of !== data.of) this.part(".frame").scrollIntoView({ block: "nearest" });
    this.of = data.of;
    const shown = data.results.find((one) => one.name === data.chosen);
    const [before, after] = [this.part(".before"), this.part(".after")];
    if (after.getAttribute("src") !== shown.url) after.src = shown.url;
    if (before.getAttribute("src") !== data.before) before.src = data.before;
    after.alt = `${words.after}: ${shown.label}`;
    before.alt = words.before;
    const ratio = shown.size[0] / shown.size[1];
    this.part(".frame").style.width = `min(100%, calc(min(62vh, 36rem) * ${ratio}))`;
    // Where the canvas has another shape there is nothing to compare pixel by pixel.
    const isSame = shown.isOfPhoto && Math.abs(ratio - data.photoSize[0] / data.photoSize[1]) < 0.01;
    this.range.hidden = before.hidden = !isSame;
    this.part(".legend").hidden = !isSame;
    this.range.setAttribute("aria-label", words.compare);
    this.part(".left").textContent = words.before;
    this.part(".right").textContent = words.after;
    this.split();
    const strip = this.part(".strip");
    strip.hidden = data.results.length < 2;
    strip.setAttribute("aria-label", words["choose-result"]);
    const key = JSON.stringify(data.results.map((one) => one.name));
    if (strip.dataset.shown !== key) {
      strip.dataset.shown = key;
      strip.replaceChildren(...data.results.map((one) => {
        const button = Object.assign(document.createElement("button"), { type: "button", title: one.label });
        button.dataset.name = one.name;
        button.setAttribute("aria-label", one.label);
        button.append(Object.assign(document.createElement("img"), { src: one.thumbnail, alt: "" }));
        return button;
      }));
    }
    for (const button of strip.children) {
      button.setAttribute("aria-pressed", button.dataset.name === data.chosen);
      button.onclick = () => setStateValue("chosen", { name: button.dataset.name, of: data.of });
    }
    const link = (one) => Object.assign(document.createElement("a"), { href: one.url, textContent: one.label, download: "" });
    this.part(".downloads").replaceChildren(
      Object.assign(document.createElement("span"), { textContent: `${words.download}:` }),
      ...shown.downloads.map(link),
    );
  }
}
