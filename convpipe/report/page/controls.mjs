// What chooses the layer, the image and the filter, and what steps the window over the map.
import { classed, element, word } from "./dom.mjs";
import { reworded } from "./page.mjs";

const MOST_TABS = 8;
const PACE = 900;

// Buttons of which one is pressed, or of many a list: {node, show(value)}. `options` are {value, text}.
export function choice(label, options, choose) {
  const key = word("span", label, { class: "key" });
  if (options.length > MOST_TABS) return list(key, options, choose);
  const buttons = options.map(({ value, text }) => element("button", { type: "button", onclick: () => choose(value) }, text));
  const show = (chosen) => options.forEach(({ value }, index) => buttons[index].setAttribute("aria-pressed", String(value === chosen)));
  return { node: options.length > 1 && element("div", { class: "choice", role: "group", "data-label": label }, key, buttons), show };
}

function list(key, options, choose) {
  const select = element("select", { onchange: () => choose(options[select.selectedIndex].value) }, options.map(({ text }) => element("option", {}, text)));
  const show = (chosen) => {
    select.selectedIndex = options.findIndex(({ value }) => value === chosen);
  };
  return { node: classed("label", "choice", key, select), show };
}

// The buttons that walk, and `stop`. `step(by)` moves the window, `free()` frees the selection.
export function walker(app, step, free) {
  let timer = 0;
  const button = (sign, key, act) => element("button", { type: "button", onclick: act }, sign, " ", word("span", key));
  const play = button("▶", "play", () => (timer ? stop() : start()));
  function show(key, text) {
    play.replaceChildren(text, " ", word("span", key));
    reworded(play, app);
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
  return { node: classed("div", "walker", button("←", "back", halted(() => step(-1))), play, button("→", "forward", halted(() => step(1))), release), stop };
}
