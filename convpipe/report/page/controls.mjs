// What chooses the layer, the image and the filter, and what steps the window over the map.
import { element, word } from "./dom.mjs";

const MOST_TABS = 8;
const PACE = 900;

// Buttons of which one is pressed, or of many a list. `options` are {value, text}.
export function choice(label, options, chosen, choose) {
  if (options.length < 2) return null;
  const key = element("span", { class: "key" }, word("span", label));
  if (options.length > MOST_TABS) return element("label", { class: "choice" }, key, list(options, chosen, choose));
  const buttons = options.map(({ value, text }) =>
    element("button", { type: "button", "aria-pressed": String(value === chosen), onclick: () => choose(value) }, text),
  );
  return element("div", { class: "choice", role: "group", "data-label": label }, key, buttons);
}

function list(options, chosen, choose) {
  const items = options.map(({ value, text }) => element("option", { value: String(value), selected: value === chosen }, text));
  return element("select", { onchange: (event) => choose(options[event.target.selectedIndex].value) }, items);
}

// The buttons that walk, and `stop`. `step(by)` moves the window.
export function walker(app, step, free) {
  let timer = null;
  const sign = element("span", { "aria-hidden": "true" }, "▶");
  const play = element("button", { type: "button", "data-label": "play", onclick: () => (timer ? stop() : start()) }, sign);
  function shown(key, text) {
    sign.textContent = text;
    play.dataset.label = key;
    play.setAttribute("aria-label", app.say(key));
  }
  function start() {
    step(1);
    timer = setInterval(() => step(1), PACE);
    shown("pause", "⏸");
  }
  function stop() {
    clearInterval(timer);
    timer = null;
    shown("play", "▶");
  }
  const by = (key, text, steps) => element("button", { type: "button", "data-label": key, onclick: () => (stop(), step(steps)) }, text);
  const release = element("button", { type: "button", class: "release", onclick: () => (stop(), free()) }, word("span", "free"));
  return { node: element("div", { class: "walker" }, by("back", "←", -1), play, by("forward", "→", 1), release), stop };
}
