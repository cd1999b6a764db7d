// Arrow keys, page keys and space go from slide to slide; Home and End to the first and the last.
const slides = [...document.querySelectorAll("section")];
const STEPS = { ArrowRight: 1, ArrowDown: 1, PageDown: 1, " ": 1, ArrowLeft: -1, ArrowUp: -1, PageUp: -1 };

document.addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.altKey || event.metaKey) return;
  const tops = slides.map((slide) => Math.abs(slide.getBoundingClientRect().top));
  const here = tops.indexOf(Math.min(...tops));
  const step = event.key === " " && event.shiftKey ? -1 : STEPS[event.key];
  const there = { Home: 0, End: slides.length - 1 }[event.key] ?? (step && here + step);
  if (there === undefined) return;
  event.preventDefault();
  slides[Math.max(0, Math.min(there, slides.length - 1))].scrollIntoView();
});
