// What the figures that a reader moves share.  They need no kernel and no library, and fetch nothing.
// Python writes `(this function)(key, draw, spec)` into a cell's output, where `draw` is the function in the file of one
// figure.  The key finds the output's own element, wherever it stands.
(key, draw, spec) => {
  const ARRAYS = { uint8: Uint8Array, int16: Int16Array, float32: Float32Array };
  const unpack = ({ dtype, data }) => new ARRAYS[dtype](Uint8Array.from(atob(data), (c) => c.charCodeAt(0)).buffer);

  /** One of the equal parts, each of `size` values, that an array is made of. */
  const part = (array, size, index) => array.subarray(index * size, (index + 1) * size);

  /** A number in words, with a true minus sign. */
  const signed = (number) => String(number).replace("-", "−");

  function make(tag, attributes, ...children) {
    const node = document.createElement(tag);
    for (const [name, value] of Object.entries(attributes)) node.setAttribute(name, value);
    node.append(...children);
    return node;
  }

  /** A range input between its name and its value in words.  `show` returns the value that the range allows. */
  function slider(name, range, words, moved) {
    const input = make("input", { type: "range", ...range });
    const value = make("span", { class: "value", "aria-hidden": "true" });
    input.addEventListener("input", () => moved(input.valueAsNumber));
    const show = (number) => {
      input.value = number;
      value.textContent = words(input.valueAsNumber);
      input.setAttribute("aria-valuetext", value.textContent);
      return input.valueAsNumber;
    };
    return { node: make("div", { class: "slider" }, make("label", {}, make("span", {}, name), input), value), show };
  }

  /** A row of buttons, of which at most one is pressed. */
  function choices(name, labels, chosen) {
    const buttons = labels.map((label, index) => {
      const button = make("button", { type: "button" }, label);
      button.addEventListener("click", () => chosen(index));
      return button;
    });
    const row = make("div", { role: "group", "aria-label": name }, ...buttons);
    const show = (pressed) => buttons.forEach((b, index) => b.setAttribute("aria-pressed", index === pressed));
    return { node: make("div", { class: "choices" }, make("span", { "aria-hidden": "true" }, name), row), show };
  }

  /** A plot of 100 by 100 units, y upwards; `draw` takes its marks as SVG. */
  function plot(name, margin = 0) {
    const node = make("div", { class: "plot", role: "img", "aria-label": name });
    const view = `viewBox="${-margin} ${-margin} ${100 + 2 * margin} ${100 + 2 * margin}" preserveAspectRatio="none"`;
    const draw = (marks) => (node.innerHTML = `<svg ${view}><g transform="matrix(1 0 0 -1 0 100)">${marks}</g></svg>`);
    return { node, draw };
  }

  /** A name and a value over a bar, which is `share` % of the width long and begins at `start` %. */
  function bar() {
    const [name, area, value] = [make("span", {}), make("div", {}), make("span", {})];
    const show = (words, share, number, start = 0) => {
      name.textContent = words;
      value.textContent = number;
      area.style.setProperty("--share", `${share}%`);
      // A percentage places a background within the room that it leaves, not within the whole width.
      area.style.setProperty("--start", `${(100 * start) / (100 - share || 1)}%`);
    };
    return { node: make("div", { class: "bar" }, name, area, value), show };
  }

  /** Draw one phase of a slice (side x side HU) in grey: black below `low`, white above `low` + `width`. */
  function paint(canvas, hu, low, width) {
    const image = new ImageData(canvas.width, canvas.height);
    image.data.fill(255); // a clamped array: it rounds, and cuts at 0 and 255
    hu.forEach((value, i) => image.data.fill(((value - low) * 255) / width, 4 * i, 4 * i + 3));
    canvas.getContext("2d").putImageData(image, 0, 0);
  }

  const tools = { unpack, part, signed, make, slider, choices, plot, bar, paint };
  for (const box of document.querySelectorAll(`[data-moving="${key}"]:not([data-ready])`)) {
    box.dataset.ready = "";
    box.addEventListener("keydown", (event) => event.stopPropagation()); // a notebook has shortcuts of its own
    // A page of many figures opens sooner where each waits until the reader comes near, or for ten seconds.
    const near = new IntersectionObserver((seen) => seen.some((one) => one.isIntersecting) && start(), {
      rootMargin: "600px",
    });
    const start = () => {
      if (box.dataset.ready) return;
      box.dataset.ready = "drawn";
      near.disconnect();
      const still = box.firstElementChild;
      box.replaceChildren(); // the still picture goes
      draw(box, spec, { ...tools, still });
    };
    near.observe(box);
    setTimeout(start, location.hash ? 0 : 10000); // a link may mean one of them
  }
}
