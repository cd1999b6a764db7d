// The panel itself: what a reader changes, the network's answer to it, and what is kept of both.
// A state has the fields of `Moves` in moves.py.  `port` leads to the worker; `remember` puts a state into the address.
(box, spec, tools, { controls: control, picture }, port, patients, opening, asks, remember) => {
  const { signed, make, bar } = tools;
  const { classes, phases, plain } = spec;
  const same = (a, b) => JSON.stringify(a) === JSON.stringify(b);
  const percent = (share) => `${Math.round(100 * share)} %`;
  const digits = (number, n) => signed(number.toFixed(n));
  const { side, label } = patients;
  let state = opening;
  const view = {
    phase: 1,
    map: 0,
    lines: 0,
    brush: 0,
    hu: 40,
    radius: 4,
    cursor: [side / 2, side / 2],
    asks: Number(asks),
  };
  let [was, is, busy, waiting, token, timer] = [null, null, false, false, 0, 0];
  let guess; // undefined: none is asked for; null: not given yet; else the class that the reader says
  const [log, guesses] = [[], []];
  const said = ({ top, prob }) => `${classes[top]} ${percent(prob[top])}`;
  const departures = () =>
    Object.fromEntries(Object.entries(state).filter(([name, value]) => !same(value, plain[name])));
  const changed = () => Object.keys(departures()).some((name) => name !== "patient" && name !== "network");

  const look = (name) => (value) => {
    view[name] = value;
    if (is) draw();
  };
  const secret = () => view.asks && guess === null; // what the network answers, until the reader has said it first
  const { button, ...controls } = control({ patients, spec }, tools, () => ({ state, view, is }), move, look);

  // The answer
  const canvases = phases.map((_, channel) => easel(channel));
  const captions = phases.map(() => make("span", {}));
  const columns = canvases.map(({ canvas }, channel) => make("div", {}, captions[channel], canvas));
  const mapWords = quiet("");
  const bars = classes.map(() => bar());
  const answer = make("div", { role: "group", "aria-label": "Answer", tabindex: -1 }, ...bars.map(({ node }) => node));
  const ask = make("div", { role: "group", class: "guess", "aria-label": "Your prediction" });
  ask.append(
    make("p", {}, "What will the network answer?"),
    row(...classes.map((name, c) => button(name, () => predict(c)))),
  );
  const [status, everybody] = [0, 1].map(() => make("p", { role: "status" }));
  const kept = quiet("");
  const [list, code] = [make("ol", {}), make("code", {})];
  const copied = button("Copy", () =>
    navigator.clipboard?.writeText(code.textContent).then(
      () => (copied.textContent = "Copied"),
      () => {},
    ),
  );

  const seen = make("div", {}, make("div", { class: "columns phases" }, ...columns), mapWords);
  const folded = {
    ...controls.folded,
    "Log of moves": [list],
    "The same in Python": [make("pre", { tabindex: 0 }, code), row(copied)],
  };
  box.append(
    ...controls.above,
    make("div", { class: "stage" }, seen, make("div", {}, ask, answer, status, kept)),
    everybody,
    ...controls.below,
    ...Object.entries(folded).map(([title, nodes]) => make("details", {}, make("summary", {}, title), ...nodes)),
    quiet("Phantom patients; neither network was trained on them. For teaching and research, not for diagnosis."),
  );
  controls.first.focus();
  const heard = { answer: answered, "over all": counted, refused: () => send((state = { ...plain })) };
  port.onmessage = ({ data }) => heard[data.kind](data);
  move({}, null);

  function row(...nodes) {
    return make("div", { class: "beside" }, ...nodes);
  }
  function quiet(text) {
    return make("p", { class: "quiet" }, text);
  }

  /** The canvas of a channel, which can be painted on. */
  function easel(channel) {
    const shift = () => state.shift[state.order[channel]] ?? [0, 0];
    const dab = (place) => {
      view.cursor = place;
      const [y, x] = place.map((one, axis) => one - shift()[axis]);
      const where = view.brush === 2 ? "all" : state.order[channel];
      if (state.paint.length < spec.mostStrokes) {
        move({ paint: [...state.paint, [where, y, x, view.radius, view.hu]] }, "paint");
      }
    };
    return picture(side, make, () => view, dab, look("cursor"));
  }

  function move(fields, name) {
    state = { ...state, ...fields };
    guess = view.asks && changed() ? null : undefined;
    if (name && log.at(-1)?.name !== name) log.push({ name });
    if (name) log.at(-1).state = state;
    waiting = busy;
    if (!busy) send();
  }

  function send() {
    busy = true;
    clearTimeout(timer);
    everybody.textContent = "";
    port.postMessage({ kind: "answer", state });
  }

  function answered(data) {
    [was, is, busy] = [data.was, data.is, false];
    if (waiting) {
      waiting = false;
      send();
    }
    draw();
    told();
  }

  /** What an answer leaves behind, once the reader may know it. */
  function told() {
    if (secret()) return;
    if (log.length) log.at(-1).answer = said(is);
    list.replaceChildren(...log.map((one) => make("li", {}, `${tell(one)}: ${one.answer ?? "?"}`)));
    if (changed() && !busy)
      timer = setTimeout(() => port.postMessage({ kind: "over all", token: (token += 1), state }), 300);
  }

  function tell({ name, state: then }) {
    if (name === "all") return "everything undone";
    const value = name === "patient" ? then.patient + 1 : then[name];
    if (name === "paint") return `paint, ${value.length} ${value.length === 1 ? "stroke" : "strokes"}`;
    if (value === null) return `${name} as it was`;
    const many = typeof value === "object" ? Object.entries(value) : [[value]];
    const words = Array.isArray(value) ? value : many.map((pair) => pair.join(" "));
    return `${name} ${words.join(" ") || "as it was"}`;
  }

  function predict(index) {
    if (busy) return;
    guess = index;
    guesses.push(index === is.top);
    kept.textContent =
      `You said ${classes[index]}, it answers ${classes[is.top]}. ` +
      `Of your predictions ${guesses.filter(Boolean).length} of ${guesses.length} came true.`;
    draw();
    told();
    answer.focus();
  }

  function counted({ token: of, counts }) {
    if (of !== token || busy) return;
    const who = state.without ? `the ${counts.of} patients with this part` : `all ${counts.of} patients`;
    everybody.textContent =
      `Over ${who} this flips ${counts.flips} answer${counts.flips === 1 ? "" : "s"}: ` +
      `${counts.lost} from right to wrong, ${counts.won} from wrong to right. ` +
      `Right before: ${counts.before}, now: ${counts.now}.`;
  }

  function draw() {
    const unsaid = secret();
    controls.show();
    const truth = label[state.patient];
    const largest = Math.max(...is.maps.flat().map(Math.abs)) || 1;
    state.order.forEach((name, channel) => {
      captions[channel].textContent = name;
      columns[channel].style.setProperty("--colour", spec.colours[phases.indexOf(name)]);
      const at = (state.patient * phases.length + phases.indexOf(name)) * side ** 2;
      canvases[channel].draw({
        hu: is.channels[channel],
        window: spec.window,
        map: view.map && !unsaid && is.maps[view.map - 1].map((value) => value / largest),
        mask: view.lines && patients.masks.subarray(at, at + side ** 2),
        shift: state.shift[name] ?? [0, 0],
        label: `Channel ${channel + 1}: ${name} phase of patient ${state.patient + 1}, ${classes[truth]}`,
      });
    });
    mapWords.textContent =
      view.map && !unsaid
        ? `Grad-CAM of the cosine with ${classes[view.map - 1]}: red for it, blue against, full colour at ` +
          `${largest.toPrecision(2)}. ${is.grid} x ${is.grid} places, whose values add up to zero.`
        : "";
    bars.forEach(({ node, show }, c) => {
      const name = classes[c] + (c === truth ? " (true)" : "");
      node.style.setProperty("--before", `${100 * was.prob[c]}%`);
      show(
        name,
        unsaid ? 0 : 100 * is.prob[c],
        unsaid ? "?" : `${percent(is.prob[c])}, cosine ${digits(is.cosine[c], 2)}`,
      );
    });
    ask.hidden = !unsaid;
    const right = is.top === truth ? "right" : `wrong: it is ${classes[truth]}`;
    const before = changed() ? ` With nothing changed: ${said(was)}.` : "";
    status.textContent = unsaid
      ? `With nothing changed the network answers ${said(was)}. Say first what it answers now.`
      : `The network answers ${said(is)}, ${right}.${before}`;
    const given = Object.entries(departures()).map(([name, value]) => `${name}=${JSON.stringify(value)}`);
    code.textContent = `from livervlm import live_answer\n\nlive_answer(${given.join(", ")}).prob`;
    remember(departures());
  }
}
