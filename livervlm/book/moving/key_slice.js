// The slices of a study, a sentence that is built from slots, and how well each slice fits it.
(box, spec, { unpack, part, signed, make, slider, choices, plot, paint }) => {
  const { side, shown, phases, slots, texts, findings, colours } = spec;
  const grey = unpack(spec.grey); // slices x phases x side x side
  const cosine = unpack(spec.cosine); // sentences x slices x phases, in thousandths
  const [low, high] = cosine.reduce(([a, b], value) => [Math.min(a, value), Math.max(b, value)], [1000, -1000]);
  const chosen = slots.map(() => 0);
  let [slice, phase, finding] = [0, phases.length - 1, findings.length ? 0 : -1];

  const rows = slots.map(([name, phrases], slot) =>
    choices(name, phrases, (index) => {
      chosen[slot] = index;
      go(best());
    }),
  );
  const sentence = make("p", { class: "sentence" });
  const canvas = make("canvas", { width: side, height: side, role: "img", tabindex: "0" });
  canvas.addEventListener("keydown", (event) => {
    const step = { ArrowUp: -1, ArrowDown: 1 }[event.key];
    if (!step) return;
    event.preventDefault();
    go({ slice: Math.min(Math.max(slice + step, 0), shown.length - 1), phase });
  });
  const scroll = slider("Slice", { min: 1, max: shown.length }, (n) => `${shown[n - 1] + 1}`, (n) => go({ slice: n - 1, phase }));
  const chooser = choices("Phase", phases, (index) => go({ slice, phase: index }));
  const truth = choices("Truth", findings.map(({ name, marked: at }) => `${name}, ${at + 1}`), (index) => {
    finding = index;
    go({ slice, phase });
  });
  const jump = choices("Go to", ["the best slice", "the marked slice"], (index) => go(index ? marked() : best()));
  const curve = plot("Similarity along the body, from the neck on the left to the pelvis; a line for each phase");
  const axis = make("div", { class: "axis", "aria-hidden": "true" }, make("span", {}, "neck"), make("span", {}, "pelvis"));
  const status = make("p", { role: "status" });
  const key = (name, p) => make("span", {}, make("i", { style: `--colour: ${colours[p]}` }), name);
  const keys = make("div", { class: "columns keys" }, ...phases.map(key));
  const picture = make("div", { class: "square" }, canvas);
  box.append(...rows.map(({ node }) => node), sentence);
  box.append(make("div", { class: "columns" }, picture, make("div", { class: "along" }, curve.node, axis, keys)));
  box.append(scroll.node, chooser.node, jump.node);
  if (findings.length) box.append(truth.node);
  box.append(status);

  /** The number of the sentence: the slots are its digits. */
  const number = () => slots.reduce((n, [, phrases], slot) => n * phrases.length + chosen[slot], 0);
  const scores = () => part(cosine, shown.length * phases.length, number());
  const words = (value) => signed((value / 1000).toFixed(3));

  function best() {
    const all = scores();
    const top = all.indexOf(Math.max(...all));
    return { slice: Math.floor(top / phases.length), phase: top % phases.length };
  }

  /** The shown slice that lies nearest to the one that the reader marked. */
  function marked() {
    if (finding < 0) return { slice, phase };
    const far = shown.map((s) => Math.abs(s - findings[finding].marked));
    return { slice: far.indexOf(Math.min(...far)), phase };
  }

  function go(to) {
    ({ slice, phase } = to);
    const all = scores();
    const top = best();
    const here = all[slice * phases.length + phase];
    rows.forEach((row, slot) => row.show(chosen[slot]));
    scroll.show(slice + 1);
    chooser.show(phase);
    truth.show(finding);
    jump.show(slice === top.slice && phase === top.phase ? 0 : slice === marked().slice && finding >= 0 ? 1 : -1);
    sentence.textContent = texts[number()];
    paint(canvas, part(grey, side ** 2, slice * phases.length + phase), 0, 255);
    canvas.setAttribute("aria-label", `slice ${shown[slice] + 1}, ${phases[phase]} phase; arrow keys go up and down`);
    const x = (s) => (100 * s) / shown.at(-1);
    const y = (value) => (95 * (value - low)) / (high - low || 1);
    const line = (_, p) => {
      const points = shown.map((s, i) => `${x(s)} ${y(all[i * phases.length + p])}`);
      return `<path style="--colour: ${colours[p]}" d="M ${points.join(" L ")}"/>`;
    };
    const { first, last } = findings[finding] ?? { first: 0, last: -1 };
    const band = last < first ? "" : `<path class="band" d="M ${x(first - 0.5)} 0 V 100 H ${x(last + 0.5)} V 0"/>`;
    const at = `<path class="ramp" d="M ${x(shown[slice])} 0 V 100"/>`;
    curve.draw(`${band}<g><g>${phases.map(line).join("")}</g></g>${at}`);
    const inside = shown[slice] >= first && shown[slice] <= last ? `; it shows the ${findings[finding].name}` : "";
    status.textContent =
      `Slice ${shown[slice] + 1} in ${phases[phase]}: similarity ${words(here)}${inside}. ` +
      `Best: slice ${shown[top.slice] + 1} in ${phases[top.phase]}, ${words(Math.max(...all))}.`;
  }

  go(best());
}
