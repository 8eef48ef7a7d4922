// Reads new results aloud: gradio replaces an element's content whole, which a live region made there would not
// survive, and a result at each keystroke would be too much to listen to. So there is one region of our own; it
// gets what the elements of class "say" say once they have rested for a second.
(() => {
  const RESTED_MS = 1000;
  const said = new Map();
  let live, timer;

  function speak() {
    const news = [];
    for (const element of document.querySelectorAll(".say")) {
      const key = element.closest("[id]:not([id^='html-'])")?.id;
      if (said.get(key) !== element.textContent) news.push(element.textContent);
      said.set(key, element.textContent);
    }
    if (news.length) live.textContent = news.join(". ");
  }

  // gradio names the button for uploads by other words than it shows, which voice control goes by
  function nameUpload() {
    const button = document.querySelector("#upload button[aria-label][aria-dropeffect]");
    if (button) button.setAttribute("aria-label", `${button.innerText}: file with texts`);
  }

  function start() {
    live = document.createElement("div");
    live.id = "live";
    live.setAttribute("role", "status");
    live.setAttribute("aria-live", "polite");
    document.body.append(live);
    new MutationObserver((changes) => {
      if (changes.every((change) => live.contains(change.target))) return;
      nameUpload();
      clearTimeout(timer);
      timer = setTimeout(speak, RESTED_MS);
    }).observe(document.body, { childList: true, subtree: true, characterData: true });
  }

  if (document.body) start();
  else document.addEventListener("DOMContentLoaded", start);
})();
