// What a network answers for each image, beside the truth.
import { element, word } from "./dom.mjs";
import { short } from "./numbers.mjs";

const ROWS_AT_ONCE = 50;
const listing = {};

// Images in the order in which they are listed: wrong ones first.
export function orderedImages(answers, truths, onlyWrong) {
  const images = Array.from(answers, (_, image) => image);
  if (!truths) return images;
  const isWrong = (image) => Number(answers[image]) !== Number(truths[image]);
  const wrong = images.filter(isWrong);
  return onlyWrong ? wrong : [...wrong, ...images.filter((image) => !isWrong(image))];
}

// How to see the stages of an image: nothing where the page has them.
export function wayTo(image, { first, count, all }, command = "") {
  if (image >= first && image < first + count) return "";
  return image < all ? `--at ${image},…` : `${command}record=${image + 1}`;
}

function imageCell(app, image) {
  const { recorded, command } = app.facts.answers;
  const way = wayTo(image, recorded, command);
  if (way) return element("th", { scope: "row" }, `n=${image} `, element("code", { class: "way" }, way));
  const go = () => {
    app.set({ image });
    document.getElementById("network").scrollIntoView({ behavior: "smooth" });
  };
  return element("th", { scope: "row" }, element("button", { type: "button", class: "link", onclick: go }, `n=${image}`));
}

function answerRow(app, image) {
  const { answers, scores, truths } = listing;
  const none = Number(answers[image]) < 0;
  const cells = [imageCell(app, image), listing.pictures ? element("td", {}, pictureOf(image)) : null,
    element("td", {}, none ? app.say("noAnswer") : String(answers[image])), element("td", {}, short(scores[image]))];
  if (!truths) return element("tr", {}, cells);
  const wrong = Number(answers[image]) !== Number(truths[image]);
  const mark = element("td", {}, wrong ? `✗ ${app.say("wrong")}` : `✓ ${app.say("right")}`);
  return element("tr", { class: wrong ? "wrong" : "" }, cells, element("td", {}, String(truths[image])), mark);
}

// A small picture of an image, if the page has it.
function pictureOf(image) {
  const { array, images } = listing.pictures;
  const at = images.indexOf(image);
  if (at < 0) return "";
  const [, channels, height, width] = array.shape;
  const canvas = element("canvas", { width, height, role: "img", "aria-label": `n=${image}` });
  const pixels = new Uint8ClampedArray(4 * height * width);
  for (let place = 0; place < height * width; place++) {
    const channel = (c) => array.values[((at * channels + c) * height * width) + place];
    const [red, green, blue] = channels === 3 ? [0, 1, 2].map(channel) : [channel(0), channel(0), channel(0)];
    pixels.set([red, green, blue, 255], 4 * place);
  }
  canvas.getContext("2d").putImageData(new ImageData(pixels, width, height), 0, 0);
  const factor = Math.max(1, Math.floor(32 / Math.max(height, width)));
  canvas.style.width = `${width * factor}px`;
  canvas.style.height = `${height * factor}px`;
  return canvas;
}

export function updateAnswers(app) {
  if (!listing.body) return;
  const images = orderedImages(listing.answers, listing.truths, listing.onlyWrong);
  const shown = images.slice(0, listing.shown);
  listing.body.replaceChildren(...shown.map((image) => answerRow(app, image)));
  listing.more.hidden = shown.length === images.length;
  listing.more.textContent = app.say("moreAnswers", { count: images.length - shown.length });
  listing.said.textContent = saidOf(app);
}

function saidOf(app) {
  const { recorded, images, right } = app.facts.answers;
  const last = recorded.first + recorded.count - 1;
  const parts = [];
  if (listing.truths) parts.push(app.say("answersRight", { right, images, percent: ((100 * right) / images).toFixed(2) }));
  if (recorded.count < images) {
    const span = last > recorded.first ? `n=${recorded.first}…${last}` : `n=${last}`;
    parts.push(app.say("recordedImages", { images: span }));
  }
  return parts.join(" ");
}

function filterBox(app) {
  const box = element("input", { type: "checkbox", id: "only-wrong" });
  box.addEventListener("change", () => {
    Object.assign(listing, { onlyWrong: box.checked, shown: ROWS_AT_ONCE });
    updateAnswers(app);
  });
  return element("p", {}, box, " ", word("label", "onlyWrong", { for: "only-wrong" }));
}

export async function answersPart(app) {
  if (!app.facts.answers) return null;
  document.getElementById("output").remove();
  const names = [":answer", ":score", ":truth", ":picture"];
  const [answers, scores, truths, pictures] = await Promise.all(names.map((name) => app.array(name)));
  Object.assign(listing, {
    answers: answers.values, scores: scores.values, truths: truths && truths.values, shown: ROWS_AT_ONCE, onlyWrong: false,
    pictures: pictures && { array: pictures, images: app.facts.answers.pictures },
  });
  listing.body = element("tbody", {});
  listing.said = element("p", {});
  listing.more = element("button", {
    type: "button",
    onclick: () => {
      listing.shown += ROWS_AT_ONCE;
      updateAnswers(app);
    },
  });
  const heads = ["answeredImage", ...(pictures ? ["picture"] : []), "answer", "score", ...(truths ? ["truth", "verdict"] : [])];
  const table = element("table", {}, word("caption", "answers"),
    element("thead", {}, element("tr", {}, heads.map((key) => word("th", key, { scope: "col" })))), listing.body);
  updateAnswers(app);
  return element("div", { id: "answers" }, word("h3", "answers"), listing.said, truths ? filterBox(app) : null,
    element("div", { class: "wide", tabindex: 0, role: "region", "data-label": "answers" }, table), listing.more);
}
