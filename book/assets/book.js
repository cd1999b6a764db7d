// What the theme leaves out for people who do not see the page or do not use a mouse.
const each = (selector, change) => document.querySelectorAll(selector).forEach(change);

function nameThings() {
  // A button's name must hold the text that it shows; an icon beside the name needs none of its own.
  each(".search-button-field", (button) => button.removeAttribute("aria-label"));
  each(".theme-switch-button .theme-switch", (icon) => {
    icon.removeAttribute("title");
    icon.querySelector("title")?.remove();
    icon.removeAttribute("aria-labelledby");
    icon.setAttribute("aria-hidden", "true");
  });
  // What folds is named by the title that its button stands in.
  each(".admonition-title .toggle-button", (button) => {
    button.setAttribute("aria-label", button.parentElement.textContent.trim());
  });
  // sphinx-exercise gives this name to every exercise and solution of a page; a name must be the only one.
  each("#exercise-content, #solution-content", (section) => section.removeAttribute("id"));
  // A reference is an item of its list; docutils gives it a role that ARIA has withdrawn.
  each('[role="doc-biblioentry"]', (entry) => entry.setAttribute("role", "listitem"));
  // A copy that was taken along does not hold itself.
  if (location.protocol === "file:") each('a[href$="liver-vlm-book.zip"]', (link) => link.remove());
  // The book's title in the sidebar is in no landmark.
  each(".bd-sidebar-primary .navbar-brand", ({ parentElement }) => {
    parentElement.setAttribute("role", "region");
    parentElement.setAttribute("aria-label", "Book title");
  });
}

// What draws formulas is heavy: it waits until the reader scrolls near one, or for ten seconds.
function formulas() {
  const waiting = document.querySelector("script[data-formulas]");
  if (!waiting) return;
  const draw = () => {
    if (!waiting.isConnected) return;
    const script = Object.assign(document.createElement("script"), { src: waiting.dataset.formulas });
    script.addEventListener("load", () => MathJax.startup.promise.then(scrollable));
    waiting.replaceWith(script);
  };
  const within = (rootMargin) => {
    const near = new IntersectionObserver((seen) => seen.some((one) => one.isIntersecting) && draw(), { rootMargin });
    each(".bd-article .math", (formula) => near.observe(formula));
  };
  within("0px");
  window.addEventListener("scroll", () => within("800px"), { once: true });
  setTimeout(draw, location.hash ? 0 : 10000); // a place in the page moves as formulas are drawn
}

function scrollable() {
  // A formula or output that scrolls must scroll from the keyboard too.
  each(".bd-article div.math, .bd-article .cell_output, .bd-article .cell_output figure", (box) => {
    if (box.scrollWidth > box.clientWidth) box.tabIndex = 0;
  });
}

nameThings();
window.addEventListener("load", () => {
  nameThings(); // the theme has drawn its icons by now
  scrollable();
  formulas();
});
