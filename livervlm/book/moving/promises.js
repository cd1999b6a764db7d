// What five folds promise in one hospital after another, and what comes of it inside and outside.
(box, spec, { unpack, part, signed, make, slider, choices, plot }) => {
  const { hospitals, ranges, reach } = spec; // reach: points from the middle of the plot to its edge
  const draws = unpack(spec.draws); // hospitals x (own gain, luck of the network, the others' gain, luck of each fold)
  const columns = draws.length / hospitals;
  const values = [...spec.start]; // gain, spread between hospitals, luck of the folds, luck of the network; points
  let shown = 1;

  const rounded = (number, digits) => signed((Math.round(10 ** digits * number) / 10 ** digits + 0).toFixed(digits));
  const points = (number) => rounded(number, 1); // the + 0 above: no "−0.0"
  const sliders = ranges.map(({ name, ...range }, index) =>
    slider(name, range, (value) => `${points(value)} points`, (value) => {
      values[index] = value;
      redraw();
    }),
  );
  const labels = ["One more hospital", `All ${hospitals}`, "Begin again"];
  const buttons = choices("Draw", labels, (index) => {
    shown = index === 2 ? 1 : index ? hospitals : Math.min(shown + 1, hospitals);
    redraw();
  });
  const picture = plot("What came over what five folds promised: a dot for each hospital inside, a cross outside", 2);
  const axes = make("p", {}, `Dots: inside. Crosses: outside. Ticks: the last hospital's five folds, whose mean is the promise. To the right: promised; upwards: came; from ${signed(-reach)} to ${reach} points.`);
  const [last, all] = [make("p", { role: "status" }), make("p", {})];
  box.append(buttons.node, ...sliders.map((one) => one.node));
  box.append(make("div", { class: "columns" }, make("div", {}, make("div", { class: "square" }, picture.node), axes), make("div", {}, last, all)));

  const mean = (numbers) => numbers.reduce((sum, number) => sum + number, 0) / numbers.length;

  /** What each of the five folds of a hospital finds. */
  function foldsOf(index) {
    const [gain, between, folds] = values;
    const [own, , , ...lucky] = part(draws, columns, index);
    return lucky.map((luck) => gain + between * own + folds * luck);
  }

  /** What five folds promise in a hospital, and what comes inside and outside. */
  function hospital(index) {
    const [gain, between, , network] = values;
    const [own, trained, others] = part(draws, columns, index);
    const [inside, outside] = [own, others].map((lasting) => gain + between * lasting + network * trained);
    return [mean(foldsOf(index)), inside, outside];
  }

  function correlation(one, other) {
    const [a, b] = [one, other].map((numbers) => numbers.map((number) => number - mean(numbers)));
    const dot = (x, y) => x.reduce((sum, number, i) => sum + number * y[i], 0);
    return dot(a, b) / Math.sqrt(dot(a, a) * dot(b, b));
  }

  function redraw() {
    sliders.forEach((one, index) => one.show(values[index]));
    buttons.show(shown === hospitals ? 1 : shown > 1 ? 0 : 2);
    const seen = Array.from({ length: shown }, (_, index) => hospital(index));
    const at = (number) => 50 + (50 * number) / reach;
    const marks = seen.map(([promise, inside, outside]) => {
      const [x, y, z] = [promise, inside, outside].map((number) => at(number).toFixed(2)).map(Number);
      return `<circle cx="${x}" cy="${y}" r="1.5"/><path class="ramp" d="M ${x - 1.5} ${z - 1.5} l 3 3 m -3 0 l 3 -3"/>`;
    });
    const found = foldsOf(shown - 1);
    const level = at(seen.at(-1)[1]);
    const ticks = found.filter((one) => Math.abs(one) <= reach).map((one) => `M ${at(one)} ${level - 4} v 8`);
    // On the oblique line it came as promised.
    picture.draw(
      `<path class="frame" d="M 0 50 H 100 M 50 0 V 100 M 0 0 L 100 100"/>` +
        `<path class="ramp folds" d="M 50 50 ${ticks.join(" ")}"/>${marks.join("")}`,
    );
    const [promise, inside, outside] = seen.at(-1).map(points);
    last.textContent =
      `Hospital ${shown}: its five folds find ${found.map(points).join(", ")}, so they promise ${promise} points. ` +
      `Inside come ${inside}, outside ${outside}.`;
    const [promises, ...truths] = [0, 1, 2].map((which) => seen.map((one) => one[which]));
    const wrong = truths.map((truth) => truth.filter((number, i) => number * promises[i] < 0).length);
    const r = truths.map((truth) => (shown > 2 ? correlation(promises, truth) : NaN));
    const told = r.map((one) => (isFinite(one) ? rounded(one, 2) : "not known"));
    all.textContent =
      `${shown} of ${hospitals} hospitals. Wrong sign: inside ${wrong[0]}, outside ${wrong[1]}. ` +
      `Correlation with the promise: inside ${told[0]}, outside ${told[1]}.`;
  }

  redraw();
}
