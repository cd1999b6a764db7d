// From a file a browser fetches no page, so the search would list titles alone. The words of all pages then come from
// a script, which a server's readers never load (book/tools/offline.py).
if (location.protocol === "file:") {
  const words = new Promise((arrived) => (window.searchWords = arrived));
  const script = document.head.appendChild(document.createElement("script"));
  script.src = "_static/search_words.js";
  window.fetch = async (address) => new Response((await words)[address.replace(/^\.\//, "")]);
}
