// What a reader changes: buttons, menus and ranges for the fields of a state, and for what is looked at.
// `now` tells { state, view, is }, of which `is` is the network's last answer; `move` and `look` change the first two.
({ patients, spec }, { signed, make, slider, choices }, now, move, look) => {
  const { classes, phases, orders, templates, networks, names, plain } = spec;
  const { label } = patients;
  const shows = [];
  const phase = () => phases[now().view.phase];

  const button = (text, clicked) => {
    const node = make("button", { type: "button" }, text);
    node.addEventListener("click", clicked);
    return node;
  };
  /** A control of the panel; `show` brings it up to date. */
  const control = (made, show) => {
    shows.push(() => show(made));
    return made.node ?? made;
  };
  /** Buttons for a field of the state or of the view. */
  const chooser = (name, labels, chosen, pressed) =>
    control(choices(name, labels, chosen), (row) => row.show(pressed()));
  const menu = (name, options, chosen, value) => {
    const select = make("select", {}, ...options);
    select.addEventListener("change", () => chosen(select.value));
    return make(
      "label",
      {},
      make("span", {}, name),
      control(select, () => (select.value = value())),
    );
  };
  const option = (value, text) => make("option", { value }, text);
  const range = (name, limits, words, moved, value) => {
    return control(slider(name, limits, words, moved), ({ show }) => show(value()));
  };

  // The patient, the network, and what is taken away
  const visit = (patient) => move({ patient, without: null, paint: [] }, "patient");
  const groups = classes.map((name, c) => {
    const mine = [...label.keys()].filter((i) => label[i] === c);
    return make(
      "optgroup",
      { label: names[name] },
      ...mine.map((i) => option(i, `${i + 1} ${name}, ${patients.words[i]}`)),
    );
  });
  const who = menu(
    "Patient",
    groups,
    (value) => visit(Number(value)),
    () => now().state.patient,
  );
  const walk = (by) => visit((now().state.patient + by + label.length) % label.length);
  const steps = [button("Previous", () => walk(-1)), button("Next", () => walk(1))];
  const reset = button("Undo everything", () =>
    move({ ...plain, patient: now().state.patient, network: now().state.network }, "all"),
  );
  const nets = chooser(
    "Network",
    networks,
    (i) => move({ network: networks[i] }, "network"),
    () => networks.indexOf(now().state.network),
  );
  const away = make("div", {});
  shows.push(() => {
    const there = patients.part.filter((_, i) => patients.owner[i] === now().state.patient);
    const at = there.indexOf(now().state.without) + 1;
    if (away.dataset.parts !== there.join()) {
      away.row = choices("Take away", ["nothing", ...there], (i) =>
        move({ without: i ? away.parts[i - 1] : null }, "without"),
      );
      [away.parts, away.dataset.parts] = [there, there.join()];
      away.replaceChildren(away.row.node);
    }
    away.row.show(at);
  });

  // A phase
  const spaced = orders.map((order) => order.join(" "));
  const order = chooser(
    "Order",
    spaced,
    (i) => move({ order: orders[i] }, "order"),
    () => spaced.indexOf(now().state.order.join(" ")),
  );
  const hide = (i) => {
    const others = now().state.hide.filter((name) => name !== phase());
    move({ hide: i ? [...others, phase()] : others }, "hide");
  };
  const ofPhase = (name) => (value) => {
    const { [phase()]: _, ...others } = now().state[name];
    move({ [name]: value ? { ...others, [phase()]: value } : others }, name);
  };
  const shift = (axis) => (pixels) => {
    const both = (now().state.shift[phase()] ?? [0, 0]).with(axis, pixels);
    ofPhase("shift")(both.some(Boolean) && both);
  };
  const mm = (pixels) => `${signed((pixels * patients.spacing[now().state.patient][2]).toFixed(1))} mm`;
  const change = [
    chooser("Phase", phases, look("phase"), () => now().view.phase),
    chooser("Phase is", ["shown", "hidden"], hide, () => Number(now().state.hide.includes(phase()))),
    range(
      "Blur",
      { min: 0, max: 6, step: 0.5 },
      (sd) => `${sd} pixels`,
      ofPhase("blur"),
      () => now().state.blur[phase()] ?? 0,
    ),
    range(
      "Noise",
      { min: 0, max: 120, step: 5 },
      (sd) => `${sd} HU`,
      ofPhase("noise"),
      () => now().state.noise[phase()] ?? 0,
    ),
    ...["Move down", "Move right"].map((name, axis) => {
      return range(
        name,
        { min: -16, max: 16, step: 1 },
        mm,
        shift(axis),
        () => now().state.shift[phase()]?.[axis] ?? 0,
      );
    }),
  ];

  // The brush
  const brush = [
    chooser("Brush", ["off", "this phase", "all phases"], look("brush"), () => now().view.brush),
    range(
      "Brush HU",
      { min: -100, max: 240, step: 5 },
      (hu) => `${signed(hu)} HU`,
      look("hu"),
      () => now().view.hu,
    ),
    range("Radius", { min: 1, max: 12, step: 1 }, mm, look("radius"), () => now().view.radius),
    row(
      button("Undo a stroke", () => move({ paint: now().state.paint.slice(0, -1) }, "paint")),
      button("Wipe off", () => move({ paint: [] }, "paint")),
    ),
    quiet(
      "Turn the brush on and drag over a picture; or give it the focus, move with the arrow keys, paint with Enter.",
    ),
  ];

  // The sentences
  const words = [
    chooser(
      "Sentences",
      templates,
      (i) => move({ template: templates[i] }, "template"),
      () => templates.indexOf(now().state.template),
    ),
    chooser(
      "Order named",
      ["the picture's", ...spaced],
      (i) => move({ named: i ? orders[i - 1] : null }, "named"),
      () => (now().state.named ? spaced.indexOf(now().state.named.join(" ")) + 1 : 0),
    ),
    ...classes.map((name, c) => {
      const kinds = Object.entries(names).map(([kind, full]) => option(kind, full));
      return menu(
        `${name} is called`,
        kinds,
        (kind) => move({ says: now().state.says.with(c, kind) }, "says"),
        () => now().state.says[c],
      );
    }),
    row(button("Permute the names", () => move({ says: [...now().state.says.slice(1), now().state.says[0]] }, "says"))),
    control(make("p", { class: "sentence" }), (node) => {
      const { state, view, is } = now();
      const shown = view.map ? view.map - 1 : label[state.patient];
      node.textContent = `${classes[shown]}: ${is.sentences[shown]}`;
    }),
    range(
      "Scale",
      { min: 0, max: 2, step: 0.01 },
      (power) => (10 ** power).toFixed(1),
      (power) => {
        move({ scale: Number((10 ** power).toFixed(2)) }, "scale");
      },
      () => Math.log10(now().is.scale),
    ),
    row(button("As learned", () => move({ scale: null }, "scale"))),
    quiet("The scale is one over the temperature: the cosines times it are the logits."),
  ];

  const settings = [
    chooser("Map", ["none", ...classes], look("map"), () => now().view.map),
    chooser("Outlines", ["none", "lesion and parts"], look("lines"), () => now().view.lines),
    chooser("Predict first", ["no", "yes"], look("asks"), () => now().view.asks),
  ];

  function row(...nodes) {
    return make("div", { class: "beside" }, ...nodes);
  }
  function quiet(text) {
    return make("p", { class: "quiet" }, text);
  }

  return {
    button,
    first: who.querySelector("select"),
    above: [row(who, ...steps, reset), nets],
    below: [away, order, ...settings],
    folded: { "Change a phase": change, Paint: brush, "Change the sentences": words },
    show: () => shows.forEach((show) => show()),
  };
}
