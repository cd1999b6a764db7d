// One lesion that plays through its phases; a covered phase is grey, and the bars tell what the network then answers.
(box, spec, { make, unpack, part, slider, bar }) => {
  const { phases, classes, names, cancer, truth, answers, grey } = spec;
  const [STAY, FADE] = [900, 700]; // ms at a phase, and to the next
  const pictures = unpack(spec.pictures);
  const side = Math.sqrt(pictures.length / phases.length);
  const covered = new Set();
  const last = phases.length - 1;
  let [moment, playing, begun] = [0, 0, 0]; // the place among the phases; the frame that was asked for; when it began

  const canvas = make("canvas", { width: side, height: side, role: "img" });
  const caption = make("p", { class: "phase", "aria-hidden": "true" });
  const place = slider("Moment", { min: 0, max: last, step: 0.05 }, told, (value) => (stop(), show(value)));
  const play = make("button", { type: "button" });
  play.addEventListener("click", () => (playing ? stop() : start()));
  const covers = phases.map((name) => {
    const button = make("button", { type: "button", "aria-pressed": false }, `Cover ${name}`);
    button.addEventListener("click", () => cover(name, button));
    return button;
  });
  const bars = classes.map(() => bar());
  const status = make("p", { role: "status" });

  box.classList.add("player");
  box.append(
    make("div", { class: "scene" }, canvas, caption),
    make("div", { class: "moment" }, play, place.node),
    make("div", { class: "covers", role: "group", "aria-label": "Cover a phase" }, ...covers),
    make("div", { role: "group", "aria-label": "Answer" }, ...bars.map(({ node }) => node)),
    status,
  );
  answer();
  show(0);
  if (matchMedia("(prefers-reduced-motion: reduce)").matches) stop();
  else start();

  function told(value) {
    const [from, to] = [Math.floor(value + 0.25), Math.ceil(value - 0.25)]; // near a phase it is that phase
    return from === to || to < from ? phases[Math.round(value)] : `${phases[from]} to ${phases[to]}`;
  }

  function show(value) {
    moment = value;
    const first = Math.min(Math.floor(value), last - 1);
    const [a, b] = [first, first + 1].map((p) => !covered.has(phases[p]) && part(pictures, side ** 2, p));
    const share = value - first;
    const image = new ImageData(side, side);
    for (let i = 0; i < side ** 2; i += 1) {
      image.data.fill((1 - share) * (a ? a[i] : grey) + share * (b ? b[i] : grey), 4 * i, 4 * i + 3);
      image.data[4 * i + 3] = 255;
    }
    canvas.getContext("2d").putImageData(image, 0, 0);
    const near = phases[Math.round(value)];
    caption.textContent = near + (covered.has(near) ? ", covered" : "");
    canvas.setAttribute("aria-label", `A lesion of a phantom patient, phase ${caption.textContent}`);
    place.show(value);
  }

  function cover(name, button) {
    if (!covered.delete(name)) covered.add(name);
    button.setAttribute("aria-pressed", covered.has(name));
    answer();
    stop();
    show(phases.indexOf(name));
  }

  function answer() {
    const prob = answers[phases.filter((name) => covered.has(name)).join(" ")];
    const top = prob.indexOf(Math.max(...prob));
    bars.forEach(({ node, show: draw }, c) => {
      node.classList.toggle("top", c === top);
      draw(names[c] + (c === truth ? " (true)" : ""), 100 * prob[c], `${Math.round(100 * prob[c])} %`);
    });
    const what = cancer[top] ? "a cancer" : "harmless";
    const seen = phases.filter((name) => !covered.has(name)).join(", ") || "nothing";
    status.textContent = `Seeing ${seen}, it answers ${names[top]}, ${what}. ${top === truth ? "Right." : "Wrong."}`;
  }

  function start() {
    begun = performance.now() - moment * (STAY + FADE);
    play.textContent = "Pause";
    playing = requestAnimationFrame(step);
  }
  function stop() {
    cancelAnimationFrame(playing);
    playing = 0;
    play.textContent = "Play";
  }
  function step(now) {
    const turn = Math.max(now - begun, 0) % (phases.length * (STAY + FADE));
    const at = Math.floor(turn / (STAY + FADE));
    const fade = Math.max(turn - at * (STAY + FADE) - STAY, 0) / FADE;
    show(at === last ? last : at + fade);
    playing = requestAnimationFrame(step);
  }
}
