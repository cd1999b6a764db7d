// A slice whose feature maps lose a quadrant: the joint labels, and what the ticked transforms answer together.
(box, spec, { unpack, part, signed, make, choices, bar, paint }) => {
  const { side, classes, labels, transforms, depths } = spec;
  const hu = unpack(spec.hu); // slices x side x side
  const joint = unpack(spec.joint); // slices x depths x transforms x (classes x transforms)
  const [low, high] = spec.window;
  const n = classes.length;
  const k = transforms.length;
  let [slice, seen] = [0, 0];
  let ticked = transforms.map(() => true);
  let heads = depths.map(() => true);

  const pictures = labels.map((label, index) => `${index + 1} ${classes[label]}`);
  const slices = choices("Slice", pictures, (index) => show(index, seen));
  const views = choices("Features", transforms, (index) => show(slice, index));
  const ticks = toggles("Counted", transforms, () => ticked);
  const depth = toggles("Heads", depths, () => heads);
  const canvas = make("canvas", { width: side, height: side, role: "img" });
  const labelled = Array.from({ length: 3 }, () => bar());
  const together = classes.map(() => bar());
  const panel = (title, bars) =>
    make("div", { role: "group", "aria-label": title }, make("p", {}, title), ...bars.map(({ node }) => node));
  const status = make("p", { role: "status" });
  box.append(slices.node, views.node, ticks.node, depth.node);
  box.append(
    make("div", { class: "columns" }, canvas, panel("Likeliest joint labels", labelled), panel("Together", together)),
    status,
  );

  /** Buttons of which any number is pressed, but never none. */
  function toggles(name, words, state) {
    const row = choices(name, words, (index) => {
      const pressed = state();
      pressed[index] = !pressed[index];
      if (!pressed.includes(true)) pressed[index] = true;
      show(slice, seen);
    });
    const buttons = [...row.node.querySelectorAll("button")];
    const draw = () => buttons.forEach((button, index) => button.setAttribute("aria-pressed", state()[index]));
    return { node: row.node, draw };
  }

  const logits = (depth, transform) => part(joint, n * k, (slice * depths.length + depth) * k + transform);

  function softmax(values) {
    const top = Math.max(...values);
    const raised = Array.from(values, (value) => Math.exp(value - top));
    const sum = raised.reduce((a, b) => a + b);
    return raised.map((value) => value / sum);
  }

  function show(newSlice, newSeen) {
    [slice, seen] = [newSlice, newSeen];
    slices.show(slice);
    views.show(seen);
    ticks.draw();
    depth.draw();
    const truth = labels[slice];
    paint(canvas, part(hu, side ** 2, slice), low, high - low);
    if (seen) {
      const half = side >> 1;
      const context = canvas.getContext("2d");
      context.fillStyle = "black";
      context.fillRect(((seen - 1) % 2) * half, Math.floor((seen - 1) / 2) * half, half, half);
    }
    canvas.setAttribute("aria-label", `Slice ${slice + 1}, ${classes[truth]}; features: ${transforms[seen]}`);

    const used = depths.map((_, d) => d).filter((d) => heads[d]);
    const mean = Array.from({ length: n * k }, (_, label) =>
      used.reduce((sum, d) => sum + logits(d, seen)[label], 0) / used.length,
    );
    const chance = softmax(mean);
    const order = [...chance.keys()].sort((a, b) => chance[b] - chance[a]);
    labelled.forEach((one, rank) => {
      const label = order[rank];
      const name = `${classes[Math.floor(label / k)]}, ${transforms[label % k]}`;
      one.show(name, 100 * chance[label], `${(100 * chance[label]).toFixed(0)} %`);
    });
    const counted = transforms.map((_, i) => i).filter((i) => ticked[i]);
    const sums = classes.map((_, c) =>
      counted.reduce((sum, i) => sum + used.reduce((s, d) => s + logits(d, i)[k * c + i], 0), 0),
    );
    const aggregate = sums.map((sum) => sum / (counted.length * used.length));
    const share = softmax(aggregate);
    together.forEach((one, c) => {
      const name = classes[c] + (c === truth ? " (true)" : "");
      one.show(name, 100 * share[c], `${(100 * share[c]).toFixed(0)} %`);
    });
    const best = share.indexOf(Math.max(...share));
    const right = transforms[order[0] % k] === transforms[seen] ? "names" : "does not name";
    status.textContent =
      `The likeliest joint label ${right} what was taken away. ${counted.length} of ${k} transforms answer ` +
      `${classes[best]}, with a logit of ${signed(aggregate[best].toFixed(2))}.`;
  }

  show(0, 0);
}
