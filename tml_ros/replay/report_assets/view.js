"use strict";
// What part of the run is shown, and where seconds lie in pixels. Knows no lane.

const run = JSON.parse(document.getElementById("data").textContent);
const drawing = document.getElementById("drawing");
const scene = document.getElementById("scene");
const FIRST_LOOK_S = 60;
const SHORTEST_S = 1;

const view = {
  start: 0,
  end: run.duration <= 1.5 * FIRST_LOOK_S ? run.duration : FIRST_LOOK_S,
  width: 1200,
  left: 132,
  right: 108,
};

/** Pixels from the drawing's left edge of a time in seconds. */
function toX(seconds) {
  const share = (seconds - view.start) / (view.end - view.start);
  return view.left + share * (view.width - view.left - view.right);
}

/** Seconds of a pixel counted from the drawing's left edge. */
function toSeconds(x) {
  const share = (x - view.left) / (view.width - view.left - view.right);
  return view.start + share * (view.end - view.start);
}

/** Show [start, end), shifted and shortened to lie inside the run. */
function show(start, end) {
  const span = Math.min(Math.max(end - start, Math.min(SHORTEST_S, run.duration)), run.duration);
  view.start = Math.min(Math.max(start, 0), run.duration - span);
  view.end = view.start + span;
}

/** Zoom by a factor (below 1: closer) about a time that stays where it is. */
function zoom(factor, about) {
  show(about - (about - view.start) * factor, about + (view.end - about) * factor);
}

/** The rows [start, end, ...] that touch what is shown. */
function visible(rows) {
  return rows.filter((row) => row[0] < view.end && (row[1] ?? run.duration) > view.start);
}

/** An SVG element; attributes by name, `text` is its text, `tip` what the pointer shows. */
function make(name, attributes, parent) {
  const element = document.createElementNS(drawing.namespaceURI, name);
  for (const [key, value] of Object.entries(attributes)) {
    if (key === "text") element.textContent = value;
    else if (key === "tip") element.dataset.tip = value;
    else element.setAttribute(key, typeof value === "number" ? Math.round(value * 100) / 100 : value);
  }
  parent?.append(element);
  return element;
}

const pen = document.createElement("canvas").getContext("2d");

/** Width in pixels of a label. */
function widthOf(text, pixels = 11.5) {
  pen.font = `${pixels}px ${getComputedStyle(document.body).fontFamily}`;
  return pen.measureText(text).width;
}

/** Break a text into at most `most` lines of `width` pixels; what does not fit ends in an ellipsis. */
function wrap(text, width, most) {
  const lines = [];
  let line = "";
  const words = text.split(" ");
  while (words.length) {
    const longer = line ? `${line} ${words[0]}` : words[0];
    if (widthOf(longer) <= width) {
      line = longer;
      words.shift();
    } else if (line && lines.length < most - 1) {
      lines.push(line);
      line = "";
    } else {
      return [...lines, shorten(longer, width)];
    }
  }
  return line ? [...lines, line] : lines;
}

/** Cut a text to `width` pixels, an ellipsis at its end. */
function shorten(text, width) {
  if (widthOf(text) <= width) return text;
  let kept = text.length;
  while (kept > 0 && widthOf(`${text.slice(0, kept)}…`) > width) kept -= 1;
  return kept > 0 ? `${text.slice(0, kept).trimEnd()}…` : "";
}

/** Seconds as a person writes them: 12.34 s, or 1:02:05 on the axis of a long run. */
function clock(seconds, step) {
  if (run.duration < 120) return `${seconds.toFixed(step < 1 ? 1 : 0)} s`;
  const whole = Math.floor(seconds + 1e-6);
  const parts = [Math.floor(whole / 60) % 60, whole % 60].map((part) => String(part).padStart(2, "0"));
  const hours = Math.floor(whole / 3600);
  const tenth = step < 1 ? (seconds - whole).toFixed(1).slice(1) : "";
  return (hours ? `${hours}:` : "") + parts.join(":") + tenth;
}
