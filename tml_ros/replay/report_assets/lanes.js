// The lanes, each a function that draws into a group from the height `y` on and returns the height that it used.

const ROW = 18;
const INTENT_ROWS = Math.min(3, run.intents.length);
const ALERT_ROWS = Math.min(2, run.alerts.length);
const LINE = 14;
const WAVE = 54;
const PICTURE = 60;
const LATENCY = 116;
const PLAIN = ["reply", "backchannel", "filler"];

/** Draw everything that is in view. */
function draw() {
  const plot = make("g", { "clip-path": "url(#plot)" });
  const labels = make("g", {});
  const lanes = [overview, axis, pictures, conversation, intents, alerts, latency];
  let y = 0;
  for (const lane of lanes) y += lane(plot, labels, y);
  drawing.setAttribute("viewBox", `0 0 ${view.width} ${y}`);
  const area = document.getElementById("plot-area");
  area.setAttribute("x", view.left);
  area.setAttribute("width", Math.max(view.width - view.left - view.right, 1));
  area.setAttribute("height", y);
  document.getElementById("cursor").setAttribute("y2", y);
  scene.replaceChildren(plot, labels);
}

function caption(labels, y, title, note) {
  make("text", { class: "lane", x: 14, y, text: title }, labels);
  (note ? [note].flat() : []).forEach((line, place) => {
    make("text", { class: "muted", x: 14, y: y + 14 + place * 12, text: line }, labels);
  });
}

function divide(labels, y) {
  make("line", { class: "rule", x1: 0, x2: view.width, y1: y + 0.5, y2: y + 0.5 }, labels);
}

function span(row, y, height, attributes, parent) {
  const x = toX(row[0]);
  const width = Math.max(toX(row[1] ?? run.duration) - x, 1);
  return make("rect", { x, y, width, height, ...attributes }, parent);
}

/** The whole run in one line; what is shown below is framed. */
function overview(plot, labels, y) {
  const across = view.width - view.left - view.right;
  const x = (seconds) => view.left + (seconds / run.duration) * across;
  const bar = (row, top, kind) => {
    const width = Math.max(x(row[1] ?? run.duration) - x(row[0]), 1);
    make("rect", { class: kind, x: x(row[0]), y: top, width, height: 7 }, labels);
  };
  make("rect", { class: "panel", x: 0, y, width: view.width, height: 34 }, labels);
  make("text", { class: "muted", x: 14, y: y + 21, text: "whole run" }, labels);
  make("text", { class: "muted", x: view.width - view.right + 8, y: y + 21, text: clock(run.duration, 1) }, labels);
  run.words.forEach((row) => bar(row, y + 8, "person"));
  run.utterances.forEach((row) => bar(row, y + 19, "robot"));
  const few = run.alerts.length <= 40;
  run.alerts.forEach(([at]) => {
    if (few) make("path", { class: "alarm", d: triangle(x(at), y + 17, 4) }, labels);
    else make("rect", { class: "alarm", x: x(at) - 0.5, y: y + 16, width: 1, height: 2 }, labels);
  });
  make("rect", {
    class: "window", id: "window", x: x(view.start), y: y + 3.5,
    width: Math.max(x(view.end) - x(view.start), 4), height: 27, rx: 3,
  }, labels);
  divide(labels, y + 34);
  return 34;
}

function axis(plot, labels, y) {
  const shown = view.end - view.start;
  const step = [0.2, 0.5, 1, 2, 5, 10, 20, 30, 60, 120, 300, 600, 1200, 1800, 3600, 7200]
    .find((candidate) => shown / candidate <= (view.width - view.left) / 90) ?? 14400;
  for (let count = Math.ceil(view.start / step - 1e-6); count * step <= view.end + 1e-6; count += 1) {
    const x = toX(count * step);
    make("line", { class: "grid", x1: x, x2: x, y1: y + 24, y2: 4000 }, plot);
    make("text", { class: "muted", x, y: y + 17, "text-anchor": "middle", text: clock(count * step, step) }, labels);
  }
  divide(labels, y + 24);
  return 24;
}

let aspect = 4 / 3;

function pictures(plot, labels, y) {
  if (!run.pictures.length) return 0;
  caption(labels, y + 24, "Camera", `${run.pictures.length} of ${run.pictures_taken}`);
  const wide = PICTURE * aspect + 3;
  const slot = toSeconds(wide) - toSeconds(0);
  let next = 0;
  let last = -1;
  for (let place = Math.floor(view.start / slot); place * slot < view.end; place += 1) {
    while (next < run.pictures.length && run.pictures[next][0] < (place + 0.5) * slot) next += 1;
    if (next - 1 === last || next === 0) continue;
    last = next - 1;
    const [at, jpeg] = run.pictures[last];
    const attributes = { x: toX(place * slot), y: y + 6, width: wide - 3, height: PICTURE };
    const picture = { href: `data:image/jpeg;base64,${jpeg}`, preserveAspectRatio: "xMidYMid slice" };
    make("image", { ...attributes, ...picture, tip: `camera at ${at.toFixed(2)} s` }, plot);
  }
  divide(labels, y + PICTURE + 12);
  return PICTURE + 12;
}

/** The person above, the robot below, the states between them; where both talk it is hatched through. */
function conversation(plot, labels, y) {
  const bandsTop = y + 3 * LINE + 12 + WAVE + 6;
  const robotTop = bandsTop + 3 * ROW + 4;
  const bottom = robotTop + WAVE + 3 * LINE + 14;
  caption(labels, y + 62, "Person", "heard");
  caption(labels, robotTop + 26, "Robot", "said");
  visible(run.bands.overlap).forEach((row) => {
    const height = robotTop + WAVE - (bandsTop - WAVE - 6);
    span(row, bandsTop - WAVE - 6, height, { fill: "url(#hatch)", tip: "both talk at once" }, plot);
  });
  const words = run.words.map(([start, end, text]) => ({
    start, end, text, tip: `person, ${start.toFixed(2)} to ${end.toFixed(2)} s\n“${text}”`,
  }));
  const said = run.utterances.map(([start, end, text, kind, cut, waited]) => ({
    start, end, text: PLAIN.includes(kind) ? text : `${kind}: ${text}`, cut, waited,
    tip: `robot, ${kind}, ${start.toFixed(2)} to ${end.toFixed(2)} s${cut ? ", interrupted" : ""}\n“${text}”` +
      (waited === null ? "" : `\n${waited} ms after the person's last word`),
  }));
  voice(plot, run.heard, words, "person", bandsTop - WAVE - 6, -1);
  voice(plot, run.said, said, "robot", robotTop, 1);
  let free = -Infinity;
  visible(run.bands.missing).forEach((row) => {
    const tip = "microphone samples are missing here";
    const box = span(row, bandsTop - WAVE - 6, WAVE, { class: "alarm soft", tip }, plot);
    const x = Number(box.getAttribute("x")) + 2;
    if (x >= free) make("text", { class: "alarm halo", x, y: bandsTop - 9, text: "missing", tip }, plot);
    free = Math.max(free, x + 60);
  });
  const states = [["user", "person is"], ["floor", "floor"], ["agent", "robot is"]];
  states.forEach(([key, title], place) => band(plot, labels, run.bands[key], title, bandsTop + place * ROW));
  divide(labels, bottom);
  return bottom - y;
}

/** A waveform with its labelled spans; side -1 puts the words above it, 1 below. */
function voice(plot, sound, rows, kind, top, side) {
  const edge = side < 0 ? top - 4 : top + WAVE + 1;
  make("line", { class: "grid", x1: 0, x2: view.width, y1: top + WAVE / 2, y2: top + WAVE / 2 }, plot);
  rows.forEach((row, place) => {
    if (row.start > view.end || row.end < view.start) return;
    span([row.start, row.end], top, WAVE, { class: `${kind} tint`, tip: row.tip }, plot);
    span([row.start, row.end], edge, 3, { class: kind, tip: row.tip }, plot);
    const x = Math.max(toX(row.start), view.left + 2);
    let next = place + 1;
    while (next < rows.length && rows[next].start <= row.start) next += 1;
    const limit = Math.min(next < rows.length ? toX(rows[next].start) - 8 : Infinity, view.width - view.right);
    const room = Math.min(limit - x, Math.max(toX(row.end) - x, 300));
    const lines = room < 30 ? [] : wrap(row.text, room, 3);
    lines.forEach((line, index) => {
      const y = side < 0 ? edge - 5 - (lines.length - 1 - index) * LINE : edge + 15 + index * LINE;
      make("text", { class: "halo", x, y, text: line, tip: row.tip }, plot);
    });
    if (row.cut && toX(row.end) - toX(row.start) > 16) cutMark(plot, toX(row.end), top, row.tip);
    if (row.waited) waitMark(plot, row, rows[place - 1], top);
  });
  make("path", { class: `${kind} wave`, d: outline(sound, top + WAVE / 2, WAVE / 2 - 2), "pointer-events": "none" }, plot);
}

function cutMark(plot, x, top, tip) {
  const zigzag = [0, 1, 2, 3, 4, 5, 6].map((step) => `${x + (step % 2 ? 3 : -3)},${top + (step * WAVE) / 6}`);
  make("polyline", { class: "cut", points: zigzag.join(" "), tip }, plot);
  make("text", { class: "halo", x: x + 7, y: top + 11, text: "cut", tip }, plot);
}

/** The turn-taking latency, in front of the utterance where nothing else is. */
function waitMark(plot, row, previous, top) {
  const text = `${row.waited} ms`;
  const x = toX(row.start);
  const from = toX(row.start - row.waited / 1000);
  const width = widthOf(text, 10.5) + 8;
  if (x - width < view.left || (previous && toX(previous.end) > x - width - 22)) return;
  make("line", { class: "wait", x1: from, x2: x, y1: top + 5, y2: top + 5, tip: row.tip }, plot);
  make("text", { class: "muted halo", x: x - 5, y: top + 18, "text-anchor": "end", text, tip: row.tip }, plot);
}

/** The outline of a waveform, no finer than a pixel. */
function outline(sound, middle, height) {
  const first = Math.max(0, Math.floor(view.start / sound.step));
  const last = Math.min(sound.peaks.length / 2, Math.ceil(view.end / sound.step) + 1);
  const merge = Math.max(1, Math.floor((last - first) / (view.width - view.left - view.right)));
  const above = [];
  const below = [];
  for (let place = first - (first % merge); place < last; place += merge) {
    let low = 0;
    let high = 0;
    for (let peak = place; peak < Math.min(place + merge, last); peak += 1) {
      low = Math.min(low, sound.peaks[2 * peak]);
      high = Math.max(high, sound.peaks[2 * peak + 1]);
    }
    const x = toX((place + merge / 2) * sound.step).toFixed(1);
    above.push(`${x},${(middle - (high / 127) * height - 0.4).toFixed(1)}`);
    below.push(`${x},${(middle - (low / 127) * height + 0.4).toFixed(1)}`);
  }
  return above.length ? `M${above.join("L")}L${below.reverse().join("L")}Z` : "";
}

const SHADES = {
  listen: ["person soft", "state"], hold: ["rest", "state"], speak: ["robot", "in"], backchannel: ["robot soft", "state"],
  yield: ["rest", "state"], idle: ["none", "muted"], listening: ["person soft", "state"], thinking: ["rest", "state"],
  speaking: ["robot", "in"], unknown: ["none", "muted"], silent: ["none", "muted"], pausing: ["person soft", "state"],
};

function band(plot, labels, rows, title, y) {
  make("text", { class: "muted", x: 14, y: y + 12, text: title }, labels);
  for (const row of visible(rows)) {
    let [shade, ink] = SHADES[row[2]] ?? ["rest", "state"];
    if (title.startsWith("person") && row[2] === "speaking") shade = "person";
    const tip = `${title} ${row[2]}\n${row[0].toFixed(1)} to ${row[1].toFixed(1)} s`;
    span(row, y + 1, ROW - 3, { class: shade, rx: 2, tip }, plot);
    const from = Math.max(toX(row[0]), view.left);
    const room = Math.min(toX(row[1]), view.width - view.right) - from - 8;
    const text = row[2] === "unknown" ? "" : row[2];
    if (text && widthOf(text, 10.5) <= room) {
      make("text", { class: ink, x: from + 5, y: y + 12, text, "pointer-events": "none" }, plot);
    }
  }
}

/** Rows for labels that would lie on each other; returns the row of each, or -1 where only the mark has room. */
function pack(places, most) {
  const free = Array(most).fill(-Infinity);
  return places.map(([x, width]) => {
    const row = free.findIndex((end) => end <= x);
    if (row >= 0) free[row] = x + width;
    return row;
  });
}

/** Pixels from `x`, or the left edge where that is further right, to the right edge. */
function roomFrom(x) {
  return view.width - view.right - Math.max(x, view.left);
}

function triangle(x, y, size) {
  return `M${x.toFixed(1)},${y - size}L${(x + size).toFixed(1)},${y + size}L${(x - size).toFixed(1)},${y + size}Z`;
}

function intents(plot, labels, y) {
  if (!run.intents.length) return 0;
  caption(labels, y + 17, "Intents", "proposals");
  const shown = run.intents.filter(([at]) => at >= view.start && at <= view.end);
  const texts = shown.map(([at, title, data]) => {
    return shorten(`${title} ${data.replace(/[{}"]/g, "")}`.trim(), Math.min(330, roomFrom(toX(at) + 9)));
  });
  const rows = pack(shown.map(([at], place) => [toX(at) - 6, widthOf(texts[place]) + 24]), INTENT_ROWS);
  shown.forEach(([at, title, data, confidence, asks], place) => {
    const x = toX(at);
    const middle = y + 13 + rows[place] * ROW;
    const tip = `${title} at ${at.toFixed(2)} s, confidence ${confidence}${asks ? ", asks first" : ""}\n${data}`;
    if (rows[place] < 0) {
      make("rect", { class: "ink", x: x - 1, y: y + 1, width: 2, height: 4, tip }, plot);
      return;
    }
    make("path", { class: "ink", d: `M${x - 5},${middle}l5,-5l5,5l-5,5Z`, tip }, plot);
    make("text", { class: "halo", x: x + 9, y: middle + 4, text: texts[place], tip }, plot);
  });
  const height = Math.max(INTENT_ROWS, 2) * ROW + 8;
  divide(labels, y + height);
  return height;
}

function alerts(plot, labels, y) {
  if (!run.alerts.length) return 0;
  caption(labels, y + 17, "Alerts", ["advisory, not a", "safety function"]);
  const shown = visible(run.alerts);
  const texts = shown.map((row) => shorten(`${row[2]}: ${row[3]}`, Math.min(330, roomFrom(toX(row[0]) + 14))));
  const rows = pack(shown.map((row, place) => {
    const x = Math.max(toX(row[0]), view.left);
    return [x, Math.max(widthOf(texts[place]) + 24, toX(row[1] ?? run.duration) - x + 4)];
  }), ALERT_ROWS);
  shown.forEach((row, place) => {
    const [at, cleared, rule, description, severity, advice] = row;
    const top = y + 5 + rows[place] * (ROW + 2);
    const until = cleared === null ? "not cleared" : `cleared at ${cleared.toFixed(2)} s`;
    const tip = `advisory: ${rule}, severity ${severity}\nraised at ${at.toFixed(2)} s, ${until}\n${description}\n${advice}`.trim();
    if (rows[place] < 0) {
      make("rect", { class: "alarm", x: toX(at) - 1, y: y + 1, width: 2, height: 4, tip }, plot);
      return;
    }
    span(row, top, ROW, { class: "alarm tint", tip }, plot);
    make("path", { class: "alarm", d: triangle(toX(at) + 5, top + 9, 5), tip }, plot);
    if (cleared !== null) span([cleared, cleared], top, ROW, { class: "alarm" }, plot);
    const x = Math.max(toX(at) + 14, view.left + 4);
    make("text", { class: "halo", x, y: top + 13, text: texts[place], tip }, plot);
  });
  divide(labels, y + 2 * ROW + 16);
  return 2 * ROW + 16;
}

/** Milliseconds on a logarithmic scale, so that 5 ms and 200 ms can both be read. */
function latency(plot, labels, y) {
  if (!run.latency.end.length) return 0;
  const merged = toX(run.latency.end[0]) + 1 > toX(run.latency.end[1] ?? Infinity);
  caption(labels, y + 24, "Latency", ["ms, log scale", ...(merged ? ["worst per pixel"] : [])]);
  const measured = [...run.latency.inference, ...run.latency.ingest].filter((ms) => ms > 0);
  const worst = measured.reduce((most, ms) => Math.max(most, ms), run.deadline_ms * 2);
  const best = Math.max(0.1, measured.reduce((least, ms) => Math.min(least, ms), run.deadline_ms) / 2);
  const top = y + 10;
  const toY = (ms) => {
    const share = Math.log(Math.max(ms, best) / best) / Math.log(worst / best);
    return top + (LATENCY - 20) * (1 - share);
  };
  for (let ms = 10 ** Math.ceil(Math.log10(best)); ms <= worst; ms *= 10) {
    make("line", { class: "grid", x1: view.left, x2: view.width - view.right, y1: toY(ms), y2: toY(ms) }, plot);
    make("text", { class: "muted", x: view.left - 6, y: toY(ms) + 3.5, "text-anchor": "end", text: ms }, labels);
  }
  const line = toY(run.deadline_ms);
  make("line", { class: "deadline", x1: view.left, x2: view.width - view.right, y1: line, y2: line }, plot);
  const ends = [[line, `${view.width < 700 ? "limit" : "deadline"} ${run.deadline_ms} ms`, "alarm"]];
  for (const [key, title] of [["ingest", "ingest age"], ["inference", "inference"]]) {
    const points = worstPoints(run.latency[key]);
    if (!points.some(([, ms]) => ms > 0)) continue;
    const path = points.map(([x, ms]) => `${x.toFixed(1)},${toY(ms).toFixed(1)}`).join(" ");
    make("polyline", { class: key, points: path, "pointer-events": "none" }, plot);
    ends.push([toY(points[points.length - 1][1]), title, key === "ingest" ? "muted" : "ink"]);
  }
  for (const place of run.latency.missed) {
    const x = toX(run.latency.end[place]);
    if (x < view.left || x > view.width - view.right) continue;
    const at = toY(Math.max(run.latency.inference[place], run.deadline_ms));
    const tip = `deadline missed in micro-turn ${run.latency.index[place]}\n` + turnText(place);
    make("path", { class: "miss", d: `M${x - 4},${at - 4}l8,8m0,-8l-8,8`, tip }, plot);
  }
  endLabels(labels, ends);
  return LATENCY + 8;
}

/** Labels at the right ends of lines, pushed apart where they would touch. */
function endLabels(labels, ends) {
  ends.sort((one, other) => one[0] - other[0]);
  let free = -Infinity;
  for (const [y, text, kind] of ends) {
    const at = Math.max(y, free);
    make("text", { class: kind, x: view.width - view.right + 8, y: at + 4, text }, labels);
    free = at + 14;
  }
}

/** [x, worst ms] of what is shown, one for each pixel column at the most. */
function worstPoints(values) {
  const points = [];
  run.latency.end.forEach((end, place) => {
    if (end < view.start - 1 || end > view.end + 1) return;
    const x = toX(end);
    const last = points[points.length - 1];
    if (last && x - last[0] < 1) last[1] = Math.max(last[1], values[place]);
    else points.push([x, values[place]]);
  });
  return points.length ? points : [[0, 0]];
}

function turnText(place) {
  const { inference, ingest } = run.latency;
  return `inference ${inference[place]} ms, ingest age ${ingest[place]} ms`;
}
