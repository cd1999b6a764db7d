// Two thresholds in a row, of a detector and of a classifier: cancers that are missed, and false alarms.
(box, spec, { unpack, make, slider, choices, plot, bar }) => {
  const { studies, presets } = spec; // presets: name, the two thresholds
  const [found, malignant] = [spec.found, spec.malignant].map(unpack); // of each lesion
  const cancer = unpack(spec.cancer);
  const [falseFound, falseMalignant] = [spec.false_found, spec.false_malignant].map(unpack); // of each other box
  const cancers = cancer.reduce((sum, one) => sum + one, 0);
  const range = { min: 0.01, max: 0.99, step: 0.01 };
  const percent = (value) => `${Math.round(100 * value)} %`;
  let [first, second] = presets[0][1];

  const detector = slider("Box", range, percent, (value) => show(value, second));
  const classifier = slider("Malignant", range, percent, (value) => show(first, value));
  const names = presets.map(([name]) => name);
  const preset = choices("Set", names, (index) => show(...presets[index][1]));
  const curve = plot("Cancers called malignant, upwards, over false alarms, to the right", 2);
  const [called, unseen, benign] = [bar(), bar(), bar()];
  const axes = make("p", {}, "Upwards: cancers called malignant. To the right: false alarms.");
  const status = make("p", { role: "status" });
  const bars = make("div", {}, called.node, unseen.node, benign.node);
  box.append(preset.node, detector.node, classifier.node);
  box.append(make("div", { class: "columns" }, make("div", {}, curve.node, axes), bars), status);

  const count = (length, holds) => Array.from({ length }, (_, i) => i).filter(holds).length;
  function outcome(one, two) {
    const hit = count(found.length, (i) => cancer[i] && found[i] >= one && malignant[i] >= two);
    const missed = count(found.length, (i) => cancer[i] && found[i] < one);
    const wrong = count(found.length, (i) => !cancer[i] && found[i] >= one && malignant[i] >= two);
    const nothing = count(falseFound.length, (i) => falseFound[i] >= one && falseMalignant[i] >= two);
    return { hit, missed, wrong, nothing };
  }
  const { wrong: most, nothing: more } = outcome(range.min, range.min);
  const place = ({ hit, wrong, nothing }) =>
    `${((100 * (wrong + nothing)) / (most + more || 1)).toFixed(2)} ${((100 * hit) / cancers).toFixed(2)}`;

  function show(one, two) {
    [first, second] = [detector.show(one), classifier.show(two)];
    preset.show(presets.findIndex(([, [a, b]]) => a === first && b === second));
    const now = outcome(first, second);
    const line = Array.from({ length: 50 }, (_, i) => place(outcome(first, (i + 0.5) / 50)));
    const [x, y] = place(now).split(" ").map(Number);
    curve.draw(
      `<path class="frame" d="M 0 0 H 100 V 100 H 0 Z"/><path class="ramp" d="M ${line.join(" L ")}"/>` +
        `<path class="thick" d="M ${x - 2} ${y} H ${x + 2} M ${x} ${y - 2} V ${y + 2}"/>`,
    );
    const rest = cancers - now.hit - now.missed;
    [
      [called, "cancers called malignant", now.hit],
      [unseen, "cancers without a box", now.missed],
      [benign, "cancers called benign", rest],
    ].forEach(([one, name, n]) => one.show(name, (100 * n) / cancers, `${n} of ${cancers}`));
    status.textContent =
      `${((now.wrong + now.nothing) / studies).toFixed(2)} false alarms a study: ${now.wrong} benign lesions called ` +
      `malignant, and ${now.nothing} boxes with no lesion in them.`;
  }

  show(first, second);
}
