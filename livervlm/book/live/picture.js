// One channel: HU in grey, a map of a few places spread over it, outlines, and a cross where the brush is.
(side, make, view, dab, point) => {
  const [FOR, AGAINST] = [
    [178, 24, 43],
    [33, 102, 172],
  ]; // red and blue of one lightness
  const [LESION, PART, CROSS] = [
    [0, 0, 0],
    [240, 228, 66],
    [86, 180, 233],
  ];
  const canvas = make("canvas", { width: side, height: side, role: "img" });
  const at = ({ offsetX, offsetY }) =>
    [offsetY, offsetX].map((place) => Math.floor((place * side) / canvas.clientWidth));
  const inside = (place) => Math.min(Math.max(place, 0), side - 1);

  canvas.addEventListener("pointerdown", (event) => {
    if (!view().brush) return;
    canvas.setPointerCapture(event.pointerId);
    dab(at(event));
  });
  canvas.addEventListener("pointermove", (event) => {
    const away = at(event).map((place, axis) => place - view().cursor[axis]);
    if (canvas.hasPointerCapture(event.pointerId) && Math.hypot(...away) >= view().radius) dab(at(event));
  });
  canvas.addEventListener("keydown", (event) => {
    const way = { ArrowUp: [-1, 0], ArrowDown: [1, 0], ArrowLeft: [0, -1], ArrowRight: [0, 1] }[event.key];
    if (!view().brush || !(way || event.key === "Enter")) return;
    event.preventDefault();
    if (way) point(view().cursor.map((place, axis) => inside(place + way[axis])));
    else dab(view().cursor);
  });
  for (const kind of ["focus", "blur"]) canvas.addEventListener(kind, () => point(view().cursor));

  /** A map's value at a pixel, between the middles of its places, as `on_pixels` has it. */
  function spread(map, y, x) {
    const grid = Math.sqrt(map.length);
    const between = (pixel) => {
      const place = Math.min(Math.max(((pixel + 0.5) * grid) / side - 0.5, 0), grid - 1);
      const first = Math.min(Math.floor(place), grid - 2);
      return [first, place - first];
    };
    const [[top, down], [left, right]] = [between(y), between(x)];
    const line = (row) => map[row * grid + left] * (1 - right) + map[row * grid + left + 1] * right;
    return line(top) * (1 - down) + line(top + 1) * down;
  }

  function draw({ hu, window: [low, high], map, mask, shift, label }) {
    const image = new ImageData(side, side);
    const where = (y, x) => mask[inside(y - shift[0]) * side + inside(x - shift[1])];
    for (let i = 0; i < side ** 2; i += 1) {
      const [y, x] = [Math.floor(i / side), i % side];
      let colour = Array(3).fill(((hu[i] - low) * 255) / (high - low));
      if (map) {
        const strength = spread(map, y, x);
        const [over, share] = [strength < 0 ? AGAINST : FOR, 0.75 * Math.abs(strength)];
        colour = colour.map((grey, c) => Math.min(Math.max(grey, 0), 255) * (1 - share) + over[c] * share);
      }
      if (mask) {
        const edge = where(y, x) & ~(where(y, x + 1) & where(y, x - 1) & where(y + 1, x) & where(y - 1, x));
        if (edge) colour = edge > 1 ? PART : LESION; // the first bit is the lesion's
      }
      const [row, column] = view().cursor;
      const [down, across] = [Math.abs(y - row), Math.abs(x - column)];
      const cross = view().brush && document.activeElement === canvas && !(down && across) && down + across < 5;
      image.data.set([...(cross ? CROSS : colour), 255], 4 * i); // a clamped array: it rounds, and cuts at 0 and 255
    }
    canvas.getContext("2d").putImageData(image, 0, 0);
    canvas.tabIndex = view().brush ? 0 : -1;
    canvas.classList.toggle("easel", Boolean(view().brush));
    const [row, column] = view().cursor;
    canvas.setAttribute("aria-label", label + (view().brush ? `; brush at row ${row + 1}, column ${column + 1}` : ""));
  }

  return { canvas, draw };
}
