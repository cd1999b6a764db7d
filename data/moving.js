// Figures that a reader moves in the page itself: no kernel, no library, nothing fetched.
// Python writes `(this function)(key, spec)` into an output; the key finds that output's element wherever it stands.
(key, spec) => {
  const ARRAYS = { uint8: Uint8Array, int16: Int16Array, float32: Float32Array };
  const unpack = ({ dtype, data }) => new ARRAYS[dtype](Uint8Array.from(atob(data), (c) => c.charCodeAt(0)).buffer);
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

  /** Draw one phase of a slice (side x side HU) in grey: black below `low`, white above `low` + `width`. */
  function paint(canvas, hu, low, width) {
    const image = new ImageData(canvas.width, canvas.height);
    image.data.fill(255); // a clamped array: it rounds, and cuts at 0 and 255
    hu.forEach((value, i) => image.data.fill(((value - low) * 255) / width, 4 * i, 4 * i + 3));
    canvas.getContext("2d").putImageData(image, 0, 0);
  }

  /** A name, a bar below it, and a value; `children` of the node are these three. */
  const bar = (name = "") => make("div", { class: "bar" }, make("span", {}, name), make("div", {}), make("span", {}));

  // -- Slices of CT whose window of Hounsfield units moves -----------------------------------------------------
  function windowLevel(box) {
    const { side, phases, slices, presets, colours } = spec;
    const [LOW, HIGH, BIN] = [-200, 300, 10]; // the histogram's axis, HU
    const hu = unpack(spec.hu); // slices x phases x side x side
    const picture = (phase) => hu.subarray((slice * phases.length + phase) * side ** 2).subarray(0, side ** 2);
    let slice, lines; // the one shown, and its histogram
    let [, level, width] = presets[0];

    const canvases = phases.map((phase, index) => {
      const canvas = make("canvas", { width: side, height: side, role: "img", tabindex: "0" });
      let grip; // where a drag began
      canvas.addEventListener("pointerdown", (event) => {
        canvas.setPointerCapture(event.pointerId);
        grip = { x: event.clientX, y: event.clientY, level, width };
      });
      canvas.addEventListener("pointermove", (event) => {
        const dragged = canvas.hasPointerCapture(event.pointerId);
        if (dragged) move(grip.level - (event.clientY - grip.y), grip.width + 2 * (event.clientX - grip.x));
        const pixel = (offset) => Math.floor((offset / canvas.clientWidth) * side); // the picture is square
        const [row, column] = [pixel(event.offsetY), pixel(event.offsetX)];
        const inside = Math.min(row, column) >= 0 && Math.max(row, column) < side;
        probe.textContent = inside ? `${phase}: ${signed(picture(index)[row * side + column])} HU here` : "";
      });
      canvas.addEventListener("pointerleave", () => (probe.textContent = ""));
      canvas.addEventListener("keydown", (event) => {
        const step = { ArrowUp: [10, 0], ArrowDown: [-10, 0], ArrowRight: [0, 10], ArrowLeft: [0, -10] }[event.key];
        if (!step) return;
        event.preventDefault();
        move(level + step[0], width + step[1]);
      });
      return canvas;
    });
    const key = (phase) => make("i", { style: `--colour: ${colours[phase]}` });
    const columns = canvases.map((canvas, phase) => make("div", {}, key(phase), phases[phase], canvas));
    const chooser = choices("Slice", slices.map((name, index) => `${index + 1} ${name}`), show);
    const levels = slider("Level", { min: -700, max: 700 }, (hu) => `${signed(hu)} HU`, (hu) => move(hu, width));
    const widths = slider("Width", { min: 10, max: 2000 }, (hu) => `${hu} HU`, (hu) => move(level, hu));
    const preset = choices("Window", presets.map(([name]) => name), (index) => move(...presets[index].slice(1)));
    const status = make("p", { role: "status" });
    const probe = make("p", {});
    const counts = plot("How often each HU occurs in this slice, a line for each phase, with the window over them");
    const axis = make("div", { class: "axis", "aria-hidden": "true" });
    for (let tick = LOW; tick <= HIGH; tick += 100) axis.append(make("span", {}, tick ? signed(tick) : "0 HU"));
    const help = "Drag a picture, or focus it and press arrow keys: sideways for width, up and down for level.";
    box.append(chooser.node, make("div", { class: "columns" }, ...columns));
    box.append(make("div", { class: "readout" }, status, probe), levels.node, widths.node, preset.node);
    box.append(make("div", { class: "histogram" }, counts.node, axis), make("p", {}, help));

    function move(newLevel, newWidth) {
      level = levels.show(newLevel);
      width = widths.show(newWidth);
      const low = level - width / 2;
      canvases.forEach((canvas, phase) => paint(canvas, picture(phase), low, width));
      preset.show(presets.findIndex((p) => p[1] === level && p[2] === width));
      status.textContent = `Black below ${signed(low)} HU, white above ${signed(low + width)} HU`;
      const [left, right] = [low, low + width].map((hu) => ((hu - LOW) / (HIGH - LOW)) * 100);
      const ramp = `<path class="ramp" d="M -999 0 H ${left} L ${right} 100 H 999"/>`; // HU to grey
      counts.draw(`<path class="band" d="M ${left} 0 V 100 H ${right} V 0"/>${lines}${ramp}`);
    }

    function show(index) {
      slice = index;
      chooser.show(index);
      const bins = phases.map(() => new Array((HIGH - LOW) / BIN).fill(0));
      bins.forEach((bin, phase) => {
        for (const hu of picture(phase)) if (hu >= LOW && hu < HIGH) bin[Math.floor((hu - LOW) / BIN)] += 1;
      });
      const unit = 95 / Math.max(...bins.flat(), 1);
      const steps = (bin) => bin.map((count) => `V ${count * unit} h ${100 / bin.length}`).join(" ");
      const line = (bin, phase) => `<path style="--colour: ${colours[phase]}" d="M 0 0 ${steps(bin)}"/>`;
      lines = `<g>${bins.map(line).join("")}</g>`;
      const shown = `slice ${index + 1}, ${slices[index]}; arrow keys change the window`;
      canvases.forEach((canvas, phase) => canvas.setAttribute("aria-label", `${phases[phase]} phase of ${shown}`));
      move(level, width);
    }
    show(0);
  }

  // -- Cosines whose temperature moves -------------------------------------------------------------------------
  function similaritySpace(box) {
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
    const dots = plot("Accuracy against confidence in ten bins; on the diagonal a model knows how sure it may be", 6);
    const reliability = make("div", { class: "square" }, "accuracy\xa0↑ confidence\xa0→", dots.node);
    const status = make("p", { role: "status" });
    box.append(examples.node, scales.node, preset.node);
    box.append(make("div", { class: "columns" }, make("div", {}, ...bars), reliability), status);

    function softmax(row) {
      const scores = Array.from(cosine.subarray(row * classes.length, (row + 1) * classes.length));
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
        const [name, area, value] = bars[index].children;
        name.textContent = classes[index] + (index === labels[example] ? " (true)" : "");
        area.style.setProperty("--share", `${100 * probability}%`);
        value.textContent = `${(100 * probability).toFixed(2)} %`;
      });
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

  // -- What a paired t can be expected to show, under a number of pairs that moves ------------------------------
  function intervalAndPairs(box) {
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
    const bars = ["power", "equivalence"].map((name) => bar(name));
    box.append(pairs.node, preset.node, sds.node, differences.node);
    box.append(make("div", { class: "histogram" }, interval.node, axis), status);
    box.append(make("div", { class: "columns" }, ...bars));

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
      [found, equal].forEach((chances, index) => {
        const chance = chances[(row * size[1] + column) * size[2] + layer] / 100;
        bars[index].children[1].style.setProperty("--share", `${chance}%`);
        bars[index].children[2].textContent = `${chance.toFixed(1)} %`;
      });
    }
    move(n, sd, difference);
  }

  // -- Slices of CT whose phases are reordered, the prompt that says so, and what networks answer -----------------
  function phaseOrder(box) {
    const { side, phases, classes, labels, orders, prompts, networks, colours } = spec;
    const hu = unpack(spec.hu); // slices x phases x side x side
    const logits = unpack(spec.logits); // networks x slices x orders x (own prompt, canonical prompt) x classes
    const picture = (phase) => hu.subarray((slice * phases.length + phase) * side ** 2).subarray(0, side ** 2);
    const [low, high] = spec.window;
    const top = Math.max(...logits.map(Math.abs)) || 1; // one axis for all bars
    let [network, slice, order] = [0, 0, spec.start];

    const named = (row) => orders[row].map((phase) => phases[phase]).join(" ");
    const nets = choices("Network", networks, (index) => show(index, slice, order));
    const pictures = labels.map((label, index) => `${index + 1} ${classes[label]}`);
    const slices = choices("Slice", pictures, (index) => show(network, index, order));
    const rows = choices("Order", orders.map((_, row) => named(row)), (row) => show(network, slice, row));
    const canvases = phases.map(() => make("canvas", { width: side, height: side, role: "img" }));
    const captions = phases.map(() => make("span", {}));
    const columns = canvases.map((canvas, channel) => make("div", {}, captions[channel], canvas));
    const prompt = make("p", { class: "sentence" });
    const bars = [0, 1].map(() => classes.map(() => bar()));
    const panels = ["Logits, this prompt", "Logits, canonical"].map((title, i) =>
      make("div", { class: "signed", role: "group", "aria-label": title }, make("p", {}, title), ...bars[i]),
    );
    const status = make("p", { role: "status" });
    box.append(nets.node, slices.node, rows.node, make("div", { class: "columns phases" }, ...columns), prompt);
    box.append(make("div", { class: "columns" }, ...panels), status);

    function show(newNetwork, newSlice, newOrder) {
      [network, slice, order] = [newNetwork, newSlice, newOrder];
      [nets, slices, rows].forEach((row, i) => row.show([network, slice, order][i]));
      const truth = labels[slice];
      canvases.forEach((canvas, channel) => {
        const phase = orders[order][channel];
        paint(canvas, picture(phase), low, high - low);
        captions[channel].textContent = phases[phase];
        columns[channel].style.setProperty("--colour", colours[phase]);
        const name = `Channel ${channel + 1}: ${phases[phase]} phase of slice ${slice + 1}, ${classes[truth]}`;
        canvas.setAttribute("aria-label", name);
      });
      prompt.textContent = prompts[order][truth];
      const start = ((network * labels.length + slice) * orders.length + order) * 2 * classes.length;
      const [own, canonical] = [0, classes.length].map((skip) =>
        Array.from(logits.subarray(start + skip, start + skip + classes.length)),
      );
      [own, canonical].forEach((row, i) =>
        row.forEach((logit, index) => {
          const [name, area, value] = bars[i][index].children;
          const share = (50 * Math.abs(logit)) / top; // of the width; zero is in the middle
          name.textContent = classes[index] + (index === truth ? " (true)" : "");
          area.style.setProperty("--share", `${share}%`);
          area.style.setProperty("--start", `${(100 * (logit < 0 ? 50 - share : 50)) / (100 - share)}%`);
          value.textContent = signed(logit.toFixed(2));
        }),
      );
      const answer = (row) => classes[row.indexOf(Math.max(...row))];
      const moved = Math.max(...own.map((logit, index) => Math.abs(logit - canonical[index])));
      status.textContent =
        `${networks[network]}, ${named(order)}: answers ${answer(own)} with the prompt of this order, ` +
        `${answer(canonical)} with the canonical one; no logit moves by more than ${moved.toFixed(2)}`;
    }
    show(network, slice, order);
  }

  // -- Maps over the slices they belong to, on one scale or each on its own -----------------------------------
  function mapReader(box) {
    const { side, grid, phases, classes, labels, networks, outlined, masks } = spec;
    const hu = unpack(spec.hu); // slices x phases x side x side
    const maps = unpack(spec.maps); // networks x slices x classes x grid x grid
    const bits = masks && unpack(masks); // slices x phases x side x side, a bit for each of `outlined`
    const [low, high] = spec.window;
    const widest = (values) => values.reduce((most, value) => Math.max(most, Math.abs(value)), 0) || 1;
    const [FOR, AGAINST] = [[178, 24, 43], [33, 102, 172]]; // red and blue of one lightness
    const [LESION, PART] = [[0, 0, 0], [240, 228, 66]];
    let [network, slice, phase, scale, lines] = [0, 0, spec.phase, 0, masks ? 1 : 0];

    const nets = choices("Network", networks, (index) => show({ network: index }));
    const names = labels.map((label, index) => `${index + 1} ${classes[label]}`);
    const slices = choices("Slice", names, (index) => show({ slice: index }));
    const pictures = choices("Phase", phases, (index) => show({ phase: index }));
    const kinds = ["one for all", "one for this slice", "each by itself"];
    const scales = choices("Scale", kinds, (index) => show({ scale: index }));
    const shownLines = choices("Outlines", ["none", "lesion and parts"], (index) => show({ lines: index }));
    const canvases = classes.map(() => make("canvas", { width: side, height: side, role: "img" }));
    const [captions, reaches] = [0, 1].map(() => classes.map(() => make("span", {})));
    const panels = canvases.map((canvas, index) => make("div", {}, captions[index], canvas, reaches[index]));
    const ends = [make("span", {}), make("span", {})];
    const status = make("p", { role: "status" });
    box.append(nets.node, slices.node, pictures.node, scales.node, ...(masks ? [shownLines.node] : []));
    box.append(make("div", { class: "columns maps" }, ...panels));
    box.append(make("div", { class: "ramp-key" }, ends[0], make("div", {}), ends[1]), status);

    /** Between which two places of the grid each of `side` pixels lies, and the share of the second. */
    const between = Array.from({ length: side }, (_, x) => {
      const at = Math.min(Math.max(((x + 0.5) * grid) / side - 0.5, 0), grid - 1);
      const first = Math.min(Math.floor(at), Math.max(grid - 2, 0));
      return [first, Math.min(first + 1, grid - 1), at - first];
    });

    const of = (array) => array.subarray((slice * phases.length + phase) * side ** 2).subarray(0, side ** 2);

    function draw(canvas, map, least, most) {
      paint(canvas, of(hu), low, high - low);
      const context = canvas.getContext("2d");
      const image = context.getImageData(0, 0, side, side);
      const mask = bits && of(bits);
      const edges = (i) => mask[i] & ~(mask[i + 1] & mask[i - 1] & mask[i + side] & mask[i - side]); // a bit for each
      const part = (2 << (outlined.length - 1)) - 2; // every bit but the lesion's
      for (let i = 0; i < side ** 2; i += 1) {
        const [[top, bottom, down], [left, right, across]] = [between[Math.floor(i / side)], between[i % side]];
        const row = (y) => map[y * grid + left] * (1 - across) + map[y * grid + right] * across;
        const value = row(top) * (1 - down) + row(bottom) * down;
        const strength = (2 * (value - least)) / (most - least || 1) - 1; // -1 to 1
        const over = strength < 0 ? AGAINST : FOR;
        const share = 0.75 * Math.abs(strength);
        let colour = [0, 1, 2].map((c) => image.data[4 * i + c] * (1 - share) + over[c] * share);
        if (lines && edges(i)) colour = edges(i) & part ? PART : LESION;
        image.data.set(colour, 4 * i);
      }
      context.putImageData(image, 0, 0);
    }

    function show(chosen) {
      ({ network, slice, phase, scale, lines } = { network, slice, phase, scale, lines, ...chosen });
      const pressed = [network, slice, phase, scale, lines];
      [nets, slices, pictures, scales, shownLines].forEach((row, i) => row.show(pressed[i]));
      const start = (network * labels.length + slice) * classes.length;
      const all = maps.subarray(start * grid ** 2).subarray(0, classes.length * grid ** 2);
      const top = widest(scale ? all : maps);
      const digits = (value) => signed(value.toPrecision(2));
      classes.forEach((name, index) => {
        const map = maps.subarray((start + index) * grid ** 2).subarray(0, grid ** 2);
        const own = [Math.min(...map), Math.max(...map)];
        draw(canvases[index], map, ...(scale === 2 ? own : [-top, top]));
        captions[index].textContent = name + (index === labels[slice] ? " (true)" : "");
        reaches[index].textContent = `${digits(own[0])} to ${digits(own[1])}`;
        const over = `over the ${phases[phase]} phase of slice ${slice + 1}`;
        canvases[index].setAttribute("aria-label", `Map of ${name} ${over}`);
      });
      const words = scale === 2 ? ["its lowest", "its highest"] : [-top, top].map(digits);
      ends.forEach((end, i) => (end.textContent = words[i]));
      const means = [
        "one colour is one value in all networks, slices and classes",
        "one colour is one value in these maps only",
        "one colour is another value in each map",
      ][scale];
      const parts = outlined.slice(1).filter((_, i) => lines && of(bits).some((mask) => mask & (2 << i)));
      status.textContent =
        `${networks[network]}, slice ${slice + 1}, ${classes[labels[slice]]}: ${means}.` +
        (lines ? ` Black: lesion${parts.length ? `; yellow: ${parts.join(", ")}` : ""}` : "");
    }
    show({});
  }

  const figures = {
    window_level: windowLevel,
    similarity_space: similaritySpace,
    interval_and_pairs: intervalAndPairs,
    phase_order: phaseOrder,
    map_reader: mapReader,
  };
  for (const box of document.querySelectorAll(`[data-moving="${key}"]:not([data-ready])`)) {
    box.dataset.ready = "";
    box.replaceChildren(); // the still picture goes
    box.addEventListener("keydown", (event) => event.stopPropagation()); // a notebook has shortcuts of its own
    figures[spec.figure](box);
  }
}
