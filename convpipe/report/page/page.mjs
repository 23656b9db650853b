// What every page has: its state, its words, its languages and its views.
// A view is {build(app) -> element or null (or a promise of it), update(app, changes)}.
import { arrayReader, readFacts } from "./data.mjs";
import { element } from "./dom.mjs";

const NAMES = { en: "English", ko: "한국어" };

// A key's words in the language, {name} in them replaced.
export function said(words, key, values = {}) {
  const text = words[key] === undefined ? key : words[key];
  return text.replace(/\{(\w+)\}/g, (whole, name) => (name in values ? values[name] : whole));
}

export function reworded(root, app) {
  for (const node of root.querySelectorAll("[data-word]")) {
    node.textContent = app.say(node.dataset.word, JSON.parse(node.dataset.values || "{}"));
  }
  for (const node of root.querySelectorAll("[data-label]")) node.setAttribute("aria-label", app.say(node.dataset.label));
}

function makeApp(facts, views) {
  const app = {
    facts,
    array: arrayReader(facts),
    state: { language: facts.language, selected: null, pinned: false, ...facts.start },
    reword: (root) => reworded(root, app),
    say: (key, values) => said(facts.words[app.state.language], key, values),
    set(changes) {
      Object.assign(app.state, changes);
      if ("language" in changes) speak(app);
      return Promise.all(views.map((view) => view.update && view.update(app, changes)));
    },
  };
  return app;
}

function speak(app) {
  document.documentElement.lang = app.state.language;
  reworded(document, app);
}

// A button that names the other language in that language.
function languageButton(app) {
  const other = () => (app.state.language === "en" ? "ko" : "en");
  const button = element("button", {
    type: "button",
    onclick: () => {
      app.set({ language: other() });
      relabel();
    },
  });
  function relabel() {
    button.textContent = NAMES[other()];
    button.lang = other();
  }
  relabel();
  return button;
}

export async function start(views) {
  const facts = await readFacts();
  const app = makeApp(facts, views);
  document.getElementById("tools").append(languageButton(app));
  const place = document.getElementById("views");
  for (const view of views) {
    const node = await view.build(app);
    if (node) place.append(node);
  }
  speak(app);
  document.body.dataset.ready = "yes";
}
