// What the page's worker does with the networks of `engine`: a reader's moves on a patient, and the answer to them.
// A state has the fields of `Moves` in moves.py, which does the same.  Messages in and out have a `kind`.
(engine) => (port) => {
  const { readTensors, readNetworks } = engine();
  const before = new Map(); // what was answered with nothing changed
  let model, patients, pictures, side, facts, latest;

  async function unzipped(text) {
    const bytes = Uint8Array.from(atob(text), (c) => c.charCodeAt(0));
    const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("gzip"));
    return new Uint8Array(await new Response(stream).arrayBuffer());
  }

  /** Each column with a Gaussian over its rows, which repeat at the ends; the result lies on its side. */
  function blurred(picture, sd) {
    const reach = Math.ceil(3 * sd);
    const weights = Array.from({ length: 2 * reach + 1 }, (_, i) => Math.exp(-((i - reach) ** 2) / (2 * sd ** 2)));
    const total = weights.reduce((sum, weight) => sum + weight, 0);
    const turned = new Float64Array(picture.length);
    for (let i = 0; i < turned.length; i += 1) {
      const [y, x] = [i % side, Math.floor(i / side)];
      for (let k = -reach; k <= reach; k += 1) {
        const row = Math.min(Math.max(y + k, 0), side - 1);
        turned[i] += (weights[k + reach] / total) * picture[row * side + x];
      }
    }
    return turned;
  }

  /** The channels in HU after the moves, in the order of the fields of `Moves`. */
  function moved(state) {
    const size = side ** 2;
    const part = (name, i) => pictures[name].data.subarray(i * size, (i + 1) * size);
    const inside = (at) => Math.min(Math.max(at, 0), side - 1);
    const { phases, owner } = patients;
    const less = owner.findIndex((one, i) => one === state.patient && patients.part[i] === state.without);
    const each = phases.map((phase, p) => {
      let picture = Float32Array.from(part("hu", state.patient * phases.length + p));
      if (less >= 0) part("less", less * phases.length + p).forEach((value, i) => (picture[i] -= value));
      for (const [where, row, column, radius, hu] of state.paint) {
        if (where !== "all" && where !== phase) continue;
        for (let y = Math.max(row - radius, 0); y <= Math.min(row + radius, side - 1); y += 1) {
          for (let x = Math.max(column - radius, 0); x <= Math.min(column + radius, side - 1); x += 1) {
            if ((y - row) ** 2 + (x - column) ** 2 <= radius ** 2) picture[y * side + x] = hu;
          }
        }
      }
      const [down, right] = state.shift[phase] ?? [0, 0];
      const from = (i) => inside(Math.floor(i / side) - down) * side + inside((i % side) - right);
      if (down || right) picture = picture.map((_, i) => picture[from(i)]);
      if (state.blur[phase]) picture = blurred(blurred(picture, state.blur[phase]), state.blur[phase]);
      if (state.noise[phase]) {
        const drawn = part("noise", p);
        picture = picture.map(
          (hu, i) => hu + (state.noise[phase] * drawn[(i + facts.step * state.patient) % size]) / 1000,
        );
      }
      return state.hide.includes(phase) ? new Float32Array(size).fill(facts.hidden) : Float32Array.from(picture);
    });
    return state.order.map((phase) => each[phases.indexOf(phase)]);
  }

  /** The vectors of the sentences that stand for the classes: by the order they name, where they name one. */
  function rowsOf(state) {
    const order = facts.orders.findIndex((names) => names.join() === (state.named ?? state.order).join());
    const find = (kind, number) =>
      model.sentences.findIndex(([t, o, k]) => t === state.template && o === number && k === kind);
    return state.says.map((kind) => (find(kind, order) < 0 ? find(kind, 0) : find(kind, order)));
  }

  function answer(state) {
    const start = performance.now();
    const [low, high] = facts.window;
    if (!(state.patient in patients.label)) throw new RangeError(`there is no patient ${state.patient}`);
    const channels = moved(state);
    const data = new Float32Array(channels.length * side ** 2);
    channels.forEach((hu, p) => {
      data.set(
        hu.map((value) => ((Math.min(Math.max(value, low), high) - low) * 2) / (high - low) - 1),
        p * side ** 2,
      );
    });
    const [net, rows] = [model.networks.get(state.network), rowsOf(state)];
    const found = net.answer({ data, side }, rows);
    const scale = state.scale ?? net.scale;
    const powers = found.cosine.map((cosine) => Math.exp(scale * (cosine - Math.max(...found.cosine))));
    const prob = powers.map((power) => power / powers.reduce((sum, one) => sum + one, 0));
    if (!prob.every(Number.isFinite)) throw new RangeError("not a state of this panel");
    const sentences = rows.map((row) => model.sentences[row][3]);
    return {
      ...found,
      channels,
      prob,
      scale,
      sentences,
      top: prob.indexOf(Math.max(...prob)),
      ms: performance.now() - start,
    };
  }

  function untouched({ network, patient }) {
    const key = `${network} ${patient}`;
    if (!before.has(key)) before.set(key, answer({ ...facts.plain, network, patient }));
    return before.get(key);
  }

  /** How a change turns out for every patient to whom it can be done. */
  async function overAll(token, state) {
    const { part, owner, label } = patients;
    const counts = { of: 0, flips: 0, lost: 0, won: 0, before: 0, now: 0 };
    for (const [patient, truth] of label.entries()) {
      if (state.without && !owner.some((one, i) => one === patient && part[i] === state.without)) continue;
      const here = { ...state, patient };
      const [was, is] = [untouched(here).top, answer(here).top];
      counts.of += 1;
      counts.flips += was !== is;
      counts.lost += was === truth && is !== truth;
      counts.won += was !== truth && is === truth;
      counts.before += was === truth;
      counts.now += is === truth;
      await new Promise((go) => setTimeout(go, 0)); // an answer that the reader waits for comes first
      if (latest !== token) return;
    }
    port.postMessage({ kind: "over all", token, counts });
  }

  async function open({ files, facts: given }) {
    facts = given;
    model = readNetworks(await unzipped(files.model));
    ({ about: patients, tensors: pictures } = readTensors(await unzipped(files.patients)));
    side = pictures.hu.shape[3];
    port.postMessage({ kind: "open", patients: { ...patients, masks: pictures.masks.data, side } });
  }

  port.onmessage = async ({ data }) => {
    latest = data.token;
    try {
      if (data.kind === "open") await open(data);
      if (data.kind === "answer")
        port.postMessage({ kind: "answer", was: untouched(data.state), is: answer(data.state) });
      if (data.kind === "over all") await overAll(data.token, data.state);
    } catch (error) {
      port.postMessage({ kind: "refused", reason: String(error) });
    }
  };
}
