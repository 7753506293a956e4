"use strict";

const part = (id) => document.getElementById(id);
const element = (tag, className, text) => {
  const made = document.createElement(tag);
  made.className = className;
  if (text !== undefined) made.textContent = text;
  return made;
};
const percent = (probability) => `${(100 * probability).toFixed(probability < 0.1 ? 1 : 0)} %`;

// Offsets count Unicode code points, JavaScript's strings UTF-16 units.
let characters = [];
let answers = [];
let chosen = 0;

async function ask() {
  const context = part("context").value;
  const questions = part("questions").value.split("\n").map((line) => line.trim()).filter(Boolean);
  const started = performance.now();
  part("ask").disabled = true;
  part("time").textContent = "…";
  try {
    const response = await fetch("/", {
      method: "POST",
      headers: { "Content-Type": "application/json" },
      body: JSON.stringify({ context, questions, top_k: Number(part("top_k").value) }),
    });
    const body = await response.json();
    if (!response.ok) throw new Error(body.error);
    characters = Array.from(context);
    answers = body.answers;
    chosen = 0;
    part("error").hidden = true;
    part("result").hidden = false;
    part("time").textContent = `${Math.round(performance.now() - started)} ms`;
    show();
  } catch (error) {
    part("error").textContent = error instanceof TypeError ? "The server does not answer." : error.message;
    part("error").hidden = false;
    part("result").hidden = true;
    part("time").textContent = "";
  } finally {
    part("ask").disabled = false;
  }
}

function show() {
  showText();
  part("answers").replaceChildren(...answers.map(card));
}

// The text, cut where an answer begins or ends; a cut that is in several answers has the colour of the likeliest.
function showText() {
  const found = answers
    .map((answer, index) => ({ index, probability: answer.probability, range: answer.offsets }))
    .filter(({ range }) => range !== null && range[0] < range[1]);
  const cuts = [...new Set([0, characters.length, ...found.flatMap(({ range }) => range)])].sort((a, b) => a - b);
  const pieces = cuts.slice(1).map((end, i) => {
    const text = characters.slice(cuts[i], end).join("");
    const covering = found.filter(({ range }) => range[0] <= cuts[i] && end <= range[1]);
    if (covering.length === 0) return document.createTextNode(text);
    const mark = element("mark", covering.some(({ index }) => index === chosen) ? "chosen" : "", text);
    const probability = Math.max(...covering.map((one) => one.probability));
    mark.style.setProperty("--strength", 0.15 + 0.6 * probability);
    mark.title = covering.map(({ index, probability }) => `${answers[index].question} ${percent(probability)}`).join("\n");
    mark.addEventListener("click", () => choose(covering[0].index));
    return mark;
  });
  part("text").replaceChildren(...pieces);
}

function card(answer, index) {
  const item = element("li", index === chosen ? "chosen" : "");
  item.append(element("p", "question", answer.question));
  const [best, ...others] = answer.answers;
  if (best === undefined) {
    item.append(element("p", "answer none", "no answer"));
  } else {
    const line = element("div", "best");
    line.append(...bar(best.probability), text(best, "p", "answer"));
    item.append(line);
  }
  const list = element("ul", "others");
  for (const other of others) {
    const line = element("li", "");
    line.append(...bar(other.probability), text(other, "span", ""));
    list.append(line);
  }
  item.append(list);
  item.addEventListener("click", () => choose(index));
  return item;
}

function text(answer, tag, className) {
  const isNone = answer.text === "";
  return element(tag, `${className} ${isNone ? "none" : ""}`.trim(), isNone ? "no answer" : answer.text);
}

function bar(probability) {
  const meter = element("meter", "");
  meter.value = probability;
  return [element("span", "percent", percent(probability)), meter];
}

function choose(index) {
  chosen = index;
  show();
}

part("form").addEventListener("submit", (event) => {
  event.preventDefault();
  ask();
});
document.addEventListener("keydown", (event) => {
  if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) ask();
});
part("curl").textContent =
  `curl ${location.origin} --json '{"context": "Ane Holm built the mill.", "questions": ["Who built it?"]}'`;
fetch("/info")
  .then((response) => response.json())
  .then((info) => {
    part("model").textContent = info.model;
  })
  .catch(() => {});
