// Slices of CT whose window of Hounsfield units moves: by dragging a picture, by arrow keys, by sliders.
(box, spec, { unpack, part, signed, make, slider, choices, plot, paint }) => {
  const { side, phases, slices, presets, colours } = spec;
  const [LOW, HIGH, BIN] = [-200, 300, 10]; // the histogram's axis, HU
  const hu = unpack(spec.hu); // slices x phases x side x side
  const picture = (phase) => part(hu, side ** 2, slice * phases.length + phase);
  let slice, lines; // the one shown, and its histogram
  let [, level, width] = presets[0];

  const canvases = phases.map((phase, index) => {
    const canvas = make("canvas", { width: side, height: side, role: "img", tabindex: "0" });
    let grip; // where a drag began
    canvas.addEventListener("pointerdown", (event) => {
      canvas.setPointerCapture(event.pointerId); // the drag goes on beyond the picture
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
