// Slices of CT whose phases are reordered, the prompt that says so, and what networks answer.
(box, spec, { unpack, part, signed, make, choices, bar, paint }) => {
  const { side, phases, classes, labels, orders, prompts, networks, colours } = spec;
  const hu = unpack(spec.hu); // slices x phases x side x side
  const logits = unpack(spec.logits); // networks x slices x orders x (own prompt, canonical prompt) x classes
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
  const panels = ["Logits, this prompt", "Logits, canonical"].map((title, i) => {
    const nodes = bars[i].map(({ node }) => node);
    return make("div", { class: "signed", role: "group", "aria-label": title }, make("p", {}, title), ...nodes);
  });
  const status = make("p", { role: "status" });
  box.append(nets.node, slices.node, rows.node, make("div", { class: "columns phases" }, ...columns), prompt);
  box.append(make("div", { class: "columns" }, ...panels), status);

  function show(newNetwork, newSlice, newOrder) {
    [network, slice, order] = [newNetwork, newSlice, newOrder];
    [nets, slices, rows].forEach((row, i) => row.show([network, slice, order][i]));
    const truth = labels[slice];
    canvases.forEach((canvas, channel) => {
      const phase = orders[order][channel];
      paint(canvas, part(hu, side ** 2, slice * phases.length + phase), low, high - low);
      captions[channel].textContent = phases[phase];
      columns[channel].style.setProperty("--colour", colours[phase]);
      const name = `Channel ${channel + 1}: ${phases[phase]} phase of slice ${slice + 1}, ${classes[truth]}`;
      canvas.setAttribute("aria-label", name);
    });
    prompt.textContent = prompts[order][truth];
    const at = (network * labels.length + slice) * orders.length + order;
    const [own, canonical] = [0, 1].map((kind) => Array.from(part(logits, classes.length, 2 * at + kind)));
    [own, canonical].forEach((row, i) =>
      row.forEach((logit, index) => {
        const name = classes[index] + (index === truth ? " (true)" : "");
        const share = (50 * Math.abs(logit)) / top; // of the width; zero is in the middle
        bars[i][index].show(name, share, signed(logit.toFixed(2)), logit < 0 ? 50 - share : 50);
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
