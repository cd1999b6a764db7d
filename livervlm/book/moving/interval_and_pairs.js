// What a paired t can be expected to show, under a number of pairs, an sd and a true difference that move.
(box, spec, { unpack, signed, make, slider, choices, plot, bar }) => {
  const { margin, ranges, presets } = spec; // ranges of pairs, sd and difference
  const quantiles = unpack(spec.quantiles); // of t at 97.5 %, then at 95 %, by pairs
  const [found, equal] = [spec.found, spec.equal].map(unpack); // chances x 10000: pairs x sds x differences
  const size = ranges.map(({ min, max, step }) => Math.round((max - min) / step) + 1);
  const place = (value, axis) => Math.round((value - ranges[axis].min) / ranges[axis].step);
  const points = (number) => signed((Math.round(10 * number) / 10 + 0).toFixed(1)); // + 0: no "−0.0"
  const named = (number) => `${points(number)} points`;
  let [n, sd, difference] = spec.start;

  const pairs = slider("Pairs", ranges[0], String, (value) => move(value, sd, difference));
  const sds = slider("sd", ranges[1], named, (value) => move(n, value, difference));
  const differences = slider("Difference", ranges[2], named, (value) => move(n, sd, value));
  const preset = choices("Plans", presets.map(String), (index) => move(presets[index], sd, difference));
  const status = make("p", { role: "status" });
  const interval = plot("The 95 % interval, in it the 90 % interval, over the margin of equivalence");
  const axis = make("div", { class: "axis", "aria-hidden": "true" });
  for (let tick = -10; tick <= 10; tick += 5) axis.append(make("span", {}, signed(tick)));
  const [power, equivalence] = [bar(), bar()];
  box.append(pairs.node, preset.node, sds.node, differences.node);
  box.append(make("div", { class: "histogram" }, interval.node, axis), status);
  box.append(make("div", { class: "columns" }, power.node, equivalence.node));

  function move(newN, newSd, newDifference) {
    [n, sd, difference] = [pairs.show(newN), sds.show(newSd), differences.show(newDifference)];
    preset.show(presets.indexOf(n));
    const [row, column, layer] = [n, sd, difference].map(place);
    const [half, narrow] = [row, size[0] + row].map((at) => (quantiles[at] * sd) / Math.sqrt(n)); // 95 %, 90 %
    const equivalent = difference + narrow < margin; // a difference is never below 0 here
    const verdict = equivalent ? "equivalent" : difference > half ? "reproduced" : "undecided";
    status.textContent =
      `A sample with just this difference and sd: 95 % interval ${points(difference - half)} to ` +
      `${points(difference + half)} points, verdict: ${verdict}`;
    const ends = [half, -half, narrow, -narrow].map((width) => difference - width);
    const [low, high, left, right, middle, edge] = [...ends, difference, margin].map((value) => 50 + 5 * value);
    interval.draw(
      `<path class="band" d="M ${100 - edge} 0 V 100 H ${edge} V 0"/><path class="frame" d="M 50 0 V 100"/>` +
        `<path class="ramp" d="M ${low} 50 H ${high} M ${low} 30 V 70 M ${high} 30 V 70"/>` +
        `<path class="thick" d="M ${left} 50 H ${right}"/><path class="ramp" d="M ${middle} 25 V 75"/>`,
    );
    const chance = (chances) => chances[(row * size[1] + column) * size[2] + layer] / 100; // percent
    power.show("power", chance(found), `${chance(found).toFixed(1)} %`);
    equivalence.show("equivalence", chance(equal), `${chance(equal).toFixed(1)} %`);
  }

  move(n, sd, difference);
}
