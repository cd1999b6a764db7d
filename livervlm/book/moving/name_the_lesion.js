// A game: lesions in all their phases, an answer for each, and a score.  The first answer counts.
(box, spec, { unpack, part, make, choices, paint }) => {
  const { side, phases, names, reasons, labels } = spec;
  const hu = unpack(spec.hu); // lesions x phases x side x side
  const [low, high] = spec.window;
  const answers = labels.map(() => null);

  const cases = choices("Lesion", labels.map((_, i) => `${i + 1}`), (index) => show(index));
  const named = choices("It is", names, answer);
  const canvases = phases.map(() => make("canvas", { width: side, height: side, role: "img" }));
  const columns = canvases.map((canvas, i) => make("div", {}, phases[i], canvas));
  const score = make("p", {});
  const status = make("p", { role: "status", class: "sentence" });
  box.append(cases.node, make("div", { class: "columns phases" }, ...columns), named.node, status, score);
  const buttons = [...cases.node.querySelectorAll("button")];
  let shown = 0;

  function answer(index) {
    if (answers[shown] === null) answers[shown] = index;
    show(shown);
  }

  function show(index) {
    shown = index;
    const [said, truth] = [answers[shown], labels[shown]];
    cases.show(shown);
    named.show(said);
    canvases.forEach((canvas, phase) => {
      paint(canvas, part(hu, side ** 2, shown * phases.length + phase), low, high - low);
      canvas.setAttribute("aria-label", `Lesion ${shown + 1}, ${phases[phase]} phase`);
    });
    buttons.forEach((button, i) => {
      const mark = answers[i] === null ? "" : answers[i] === labels[i] ? " ✓" : " ✗";
      button.textContent = `${i + 1}${mark}`;
    });
    const told = said === truth ? `Right, ${names[truth]}.` : `You said ${names[said]}. It is ${names[truth]}.`;
    status.textContent = said === null ? "Look at all phases, then choose." : `${told} ${reasons[truth]}`;
    const given = answers.filter((one) => one !== null).length;
    const right = answers.filter((one, i) => one === labels[i]).length;
    score.textContent = given ? `${right} of ${given} right, ${labels.length - given} to go.` : `${labels.length} to go.`;
  }

  show(0);
}
