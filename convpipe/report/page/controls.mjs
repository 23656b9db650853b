// What chooses the layer, the image and the filter, and what steps the window over the map.
import { classed, element, word } from "./dom.mjs";

const MOST_TABS = 8;
const PACE = 900;

// Buttons of which one is pressed, or of many a list. `options` are {value, text}.
export function choice(label, options, chosen, choose) {
  if (options.length < 2) return null;
  const key = word("span", label, { class: "key" });
  if (options.length > MOST_TABS) return classed("label", "choice", key, list(options, chosen, choose));
  const buttons = options.map(({ value, text }) => element("button", { type: "button", "aria-pressed": String(value === chosen), onclick: () => choose(value) }, text));
  return element("div", { class: "choice", role: "group", "data-label": label }, key, buttons);
}

function list(options, chosen, choose) {
  const items = options.map(({ value, text }) => element("option", { selected: value === chosen }, text));
  return element("select", { onchange: (event) => choose(options[event.target.selectedIndex].value) }, items);
}

// The buttons that walk, and `stop`. `step(by)` moves the window, `free()` frees the selection.
export function walker(app, step, free) {
  let timer = 0;
  const button = (key, text, act) => element("button", { type: "button", "data-label": key, onclick: act }, text);
  const play = button("play", "▶", () => (timer ? stop() : start()));
  function show(key, text) {
    play.textContent = text;
    play.dataset.label = key;
    play.setAttribute("aria-label", app.say(key));
  }
  function start() {
    timer = setInterval(step, PACE, 1);
    step(1);
    show("pause", "❚❚");
  }
  function stop() {
    clearInterval(timer);
    timer = 0;
    show("play", "▶");
  }
  const halted = (act) => () => {
    stop();
    act();
  };
  const release = element("button", { type: "button", class: "release", onclick: halted(free) }, word("span", "free"));
  return { node: classed("div", "walker", button("back", "←", halted(() => step(-1))), play, button("forward", "→", halted(() => step(1))), release), stop };
}
