// Grad-CAM maps over the slices they belong to, on one scale or each on its own.
(box, spec, { unpack, part, signed, make, choices, paint }) => {
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
    const first = Math.min(Math.floor(at), grid - 2);
    return [first, first + 1, at - first];
  });

  /** The picture shown, or its masks. */
  const shown = (array) => part(array, side ** 2, slice * phases.length + phase);

  function draw(canvas, map, least, most) {
    paint(canvas, shown(hu), low, high - low);
    const context = canvas.getContext("2d");
    const image = context.getImageData(0, 0, side, side);
    const mask = bits && shown(bits);
    const edges = (i) => mask[i] & ~(mask[i + 1] & mask[i - 1] & mask[i + side] & mask[i - side]); // a bit for each
    const parts = (2 << (outlined.length - 1)) - 2; // every bit but the lesion's
    for (let i = 0; i < side ** 2; i += 1) {
      const [[top, bottom, down], [left, right, across]] = [between[Math.floor(i / side)], between[i % side]];
      const row = (y) => map[y * grid + left] * (1 - across) + map[y * grid + right] * across;
      const value = row(top) * (1 - down) + row(bottom) * down;
      const strength = (2 * (value - least)) / (most - least || 1) - 1; // -1 to 1
      const over = strength < 0 ? AGAINST : FOR;
      const share = 0.75 * Math.abs(strength);
      let colour = [0, 1, 2].map((c) => image.data[4 * i + c] * (1 - share) + over[c] * share);
      if (lines && edges(i)) colour = edges(i) & parts ? PART : LESION;
      image.data.set(colour, 4 * i);
    }
    context.putImageData(image, 0, 0);
  }

  function show(chosen) {
    ({ network, slice, phase, scale, lines } = { network, slice, phase, scale, lines, ...chosen });
    const pressed = [network, slice, phase, scale, lines];
    [nets, slices, pictures, scales, shownLines].forEach((row, i) => row.show(pressed[i]));
    const all = part(maps, classes.length * grid ** 2, network * labels.length + slice);
    const top = widest(scale ? all : maps);
    const digits = (value) => signed(value.toPrecision(2));
    classes.forEach((name, index) => {
      const map = part(all, grid ** 2, index);
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
    const seen = outlined.slice(1).filter((_, i) => lines && shown(bits).some((mask) => mask & (2 << i)));
    status.textContent =
      `${networks[network]}, slice ${slice + 1}, ${classes[labels[slice]]}: ${means}.` +
      (lines ? ` Black: lesion${seen.length ? `; yellow: ${seen.join(", ")}` : ""}` : "");
  }

  show({});
}
