// Cosines between pictures and class sentences, whose temperature moves.
(box, spec, { unpack, part, make, slider, choices, plot, bar }) => {
  const { classes, presets } = spec;
  const cosine = unpack(spec.cosine); // examples x classes
  const labels = unpack(spec.labels);
  const inverse = (log) => `${(10 ** log).toPrecision(3)}, τ ${(10 ** -log).toPrecision(2)}`;
  const named = (number) => `${number}: ${classes[labels[number - 1]]}`;
  let [example, scale] = [0, presets.at(-1)[1]]; // scale: 1 / τ, moved on a logarithmic range

  const examples = slider("Example", { min: 1, max: labels.length }, named, (number) => show(number - 1, scale));
  const scales = slider("Scale", { min: 0, max: 2, step: "any" }, inverse, (log) => show(example, 10 ** log));
  const preset = choices("Marks", presets.map(([name]) => name), (index) => show(example, presets[index][1]));
  const bars = classes.map(() => bar());
  const dots = plot("Accuracy against confidence in ten bins; on the diagonal the two are equal", 10);
  const reliability = make("div", { class: "square" }, "accuracy\xa0↑ confidence\xa0→", dots.node);
  const status = make("p", { role: "status" });
  box.append(examples.node, scales.node, preset.node);
  box.append(make("div", { class: "columns" }, make("div", {}, ...bars.map(({ node }) => node)), reliability), status);

  function softmax(row) {
    const scores = Array.from(part(cosine, classes.length, row));
    const powers = scores.map((score) => Math.exp(scale * (score - Math.max(...scores))));
    const sum = powers.reduce((a, b) => a + b);
    return powers.map((power) => power / sum);
  }

  function show(newExample, newScale) {
    [example, scale] = [newExample, newScale];
    examples.show(example + 1);
    scales.show(Math.log10(scale));
    preset.show(presets.findIndex((p) => p[1] === scale));
    softmax(example).forEach((probability, index) => {
      const percent = 100 * probability;
      const truth = index === labels[example] ? " (true)" : "";
      bars[index].show(classes[index] + truth, percent, `${percent.toFixed(2)} %`);
    });
    showAll();
  }

  /** Loss and calibration over all examples, by bins of confidence. */
  function showAll() {
    const bins = Array.from({ length: 10 }, () => ({ confidence: 0, correct: 0, count: 0, loss: 0 }));
    labels.forEach((label, row) => {
      const probabilities = softmax(row);
      const confidence = Math.max(...probabilities);
      const bin = bins[Math.min(Math.floor(confidence * 10), 9)];
      bin.confidence += confidence;
      bin.correct += probabilities.indexOf(confidence) === label;
      bin.count += 1;
      bin.loss -= Math.log(probabilities[label]);
    });
    const mean = (value) => (bins.reduce((sum, bin) => sum + value(bin), 0) / labels.length).toFixed(4);
    status.textContent =
      `All ${labels.length} examples: loss ${mean((bin) => bin.loss)}, ` +
      `calibration error (ECE) ${mean((bin) => Math.abs(bin.confidence - bin.correct))}, ` +
      `mean confidence ${mean((bin) => bin.confidence)}, accuracy ${mean((bin) => bin.correct)}`;
    const dot = ({ confidence, correct, count }) =>
      `<circle cx="${(100 * confidence) / count}" cy="${(100 * correct) / count}" r="${1 + Math.cbrt(count)}"/>`;
    const frame = `<path class="frame" d="M 0 0 L 100 100 M 0 100 V 0 H 100"/>`;
    dots.draw(frame + bins.filter((bin) => bin.count).map(dot).join(""));
  }

  show(0, scale);
}
