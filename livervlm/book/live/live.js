// A live panel before it is opened: the still picture, a button, and what is loaded when the reader clicks.
// `scripts` are the functions in the other files, by their names.
(box, spec, tools, scripts) => {
  const { make, still } = tools;
  const { panel, worker, engine } = scripts;
  const KEY = "#live="; // in the address of a page of the book, for its first panel
  const first = () => spec.url && document.querySelector(".livervlm-moving.live") === box;
  const linked = () => first() && location.hash.startsWith(KEY);

  /** The port to a worker that has read the model; where none may run, to the same in this thread. */
  function started(files) {
    const { window, hidden, step, orders, plain } = spec;
    const open = (port) =>
      new Promise((done, failed) => {
        port.onerror = failed;
        port.onmessage = ({ data }) => (data.kind === "open" ? done([port, data.patients]) : failed(data.reason));
        port.postMessage({ kind: "open", files, facts: { window, hidden, step, orders, plain } });
      });
    const apart = async () => {
      const source = new Blob([`((${worker})(${engine}))(self)`], { type: "text/javascript" });
      return open(new Worker(URL.createObjectURL(source)));
    };
    return apart().catch(() => {
      const { port1, port2 } = new MessageChannel();
      worker(engine)(port2);
      return open(port1);
    });
  }

  /** The model and the patients: from this output, or from a script that the page adds, as a file may not fetch. */
  function fetched() {
    if (spec.files) return Promise.resolve(spec.files);
    return new Promise((done, failed) => {
      if (globalThis.livervlmLive) return done(globalThis.livervlmLive);
      const script = make("script", { src: spec.url });
      script.addEventListener("load", () => done(globalThis.livervlmLive));
      script.addEventListener("error", failed);
      document.head.append(script);
    });
  }

  /** The state in the address, as far as it has the types of one; without an address the chapter's own. */
  function opening() {
    if (!linked()) return { ...spec.plain, ...spec.start };
    const state = { ...spec.plain };
    try {
      const asked = JSON.parse(decodeURIComponent(location.hash.slice(KEY.length)));
      const types = { without: "string", named: "object", scale: "number" }; // of those that are null by themselves
      for (const [name, value] of Object.entries(asked)) {
        if (name in state && value && typeof value === (types[name] ?? typeof state[name])) state[name] = value;
      }
    } catch {
      // no state that can be read
    }
    return state;
  }

  box.classList.add("live");
  const status = make("p", { role: "status" });
  const opener = make("button", { type: "button" }, `Open the live model (${spec.megabytes} MB)`);
  opener.addEventListener("click", open);
  if (spec.question) box.append(make("p", { class: "question" }, spec.question));
  box.append(still, make("div", { class: "beside" }, opener), status);
  if (linked()) open();

  async function open() {
    const asks = spec.predict && !linked(); // whoever comes by a link looks at what another has seen
    opener.disabled = true;
    status.textContent = "The model is being loaded.";
    let at = `It was not found at ${spec.url}: it lies beside the pages of the whole book.`;
    try {
      const files = await fetched();
      at = "This browser cannot run it.";
      const [port, patients] = await started(files);
      for (const node of [still, opener.parentNode, status]) node.remove();
      panel(box, spec, tools, scripts, port, patients, opening(), asks, remember);
    } catch {
      opener.disabled = false;
      status.textContent = `The model could not be opened. ${at}`;
    }
  }

  function remember(departures) {
    if (first()) history.replaceState(null, "", KEY + encodeURIComponent(JSON.stringify(departures)));
  }
}
