// Pointer, keyboard, buttons and links.

const chart = document.getElementById("chart");
const cursor = document.getElementById("cursor");
const tip = document.getElementById("tip");
let waiting = false;
let drag = null;

for (const sound of [run.heard, run.said]) {
  sound.peaks = Int8Array.from(atob(sound.peaks), (letter) => (letter.charCodeAt(0) << 24) >> 24);
}

function redraw() {
  if (waiting) return;
  waiting = true;
  requestAnimationFrame(() => {
    waiting = false;
    draw();
  });
}

function resize() {
  view.width = Math.max(chart.clientWidth, 360);
  const narrow = view.width < 700;
  view.left = narrow ? 112 : 132;
  view.right = narrow ? 92 : 108;
  draw();
}

function pixel(event) {
  return (event.clientX - drawing.getBoundingClientRect().left) * (view.width / drawing.clientWidth);
}

/** Show what lies under the pointer: an item's own words, else the micro-turn. */
function point(event) {
  const x = pixel(event);
  const seconds = toSeconds(x);
  const inside = seconds >= view.start && seconds <= view.end;
  cursor.setAttribute("visibility", inside ? "visible" : "hidden");
  cursor.setAttribute("x1", x);
  cursor.setAttribute("x2", x);
  tip.hidden = !inside;
  if (!inside) return;
  const item = event.target.closest("[data-tip]");
  tip.textContent = item ? item.dataset.tip : momentText(seconds);
  const box = chart.getBoundingClientRect();
  const left = event.clientX - box.left + 14;
  tip.style.left = `${left + tip.offsetWidth > box.width ? Math.max(left - tip.offsetWidth - 28, 0) : left}px`;
  tip.style.top = `${Math.min(event.clientY - box.top + 14, box.height - tip.offsetHeight - 4)}px`;
}

function momentText(seconds) {
  const ends = run.latency.end;
  let low = 0;
  let high = ends.length;
  while (low < high) {
    const middle = (low + high) >> 1;
    if (ends[middle] <= seconds) low = middle + 1;
    else high = middle;
  }
  const place = low < ends.length ? `\nmicro-turn ${run.latency.index[low]}\n${turnText(low)}` : "";
  return `${seconds.toFixed(2)} s${place}`;
}

/** Follow #t=10-40 (show it) and #at=12.3 (centre it and scroll there). */
function follow() {
  const shown = /^#t=([\d.]+)-([\d.]+)$/.exec(location.hash);
  const at = /^#at=(-?[\d.]+)$/.exec(location.hash);
  if (shown) show(Number(shown[1]), Number(shown[2]));
  if (at) {
    const half = Math.min(view.end - view.start, 30) / 2;
    show(Number(at[1]) - half, Number(at[1]) + half);
    chart.scrollIntoView({ block: "nearest" });
  }
  draw();
  if (at) {
    cursor.setAttribute("x1", toX(Number(at[1])));
    cursor.setAttribute("x2", toX(Number(at[1])));
    cursor.setAttribute("visibility", "visible");
  }
}

chart.addEventListener("wheel", (event) => {
  const sideways = event.shiftKey ? event.deltaY || event.deltaX : event.deltaX;
  if (event.ctrlKey || event.metaKey) zoom(1.0015 ** event.deltaY, toSeconds(pixel(event)));
  else if (Math.abs(sideways) > Math.abs(event.deltaY) || event.shiftKey) {
    const seconds = (sideways / view.width) * (view.end - view.start);
    show(view.start + seconds, view.end + seconds);
  } else return;
  event.preventDefault();
  redraw();
}, { passive: false });

chart.addEventListener("pointerdown", (event) => {
  const y = event.clientY - drawing.getBoundingClientRect().top;
  drag = { x: pixel(event), start: view.start, end: view.end, overview: y < 34 };
  if (drag.overview) moveWindow(event);
  chart.setPointerCapture(event.pointerId);
  chart.classList.add("moving");
});
chart.addEventListener("pointermove", (event) => {
  if (!drag) return point(event);
  if (drag.overview) return moveWindow(event);
  const scale = (drag.end - drag.start) / (view.width - view.left - view.right);
  const seconds = (drag.x - pixel(event)) * scale;
  show(drag.start + seconds, drag.end + seconds);
  return redraw();
});
for (const ending of ["pointerup", "pointercancel"]) {
  chart.addEventListener(ending, () => {
    drag = null;
    chart.classList.remove("moving");
  });
}
chart.addEventListener("pointerleave", () => {
  cursor.setAttribute("visibility", "hidden");
  tip.hidden = true;
});

function moveWindow(event) {
  const share = (pixel(event) - view.left) / (view.width - view.left - view.right);
  const half = (view.end - view.start) / 2;
  show(share * run.duration - half, share * run.duration + half);
  redraw();
}

chart.addEventListener("keydown", (event) => {
  const span = view.end - view.start;
  const moves = {
    ArrowLeft: () => show(view.start - span / 8, view.end - span / 8),
    ArrowRight: () => show(view.start + span / 8, view.end + span / 8),
    Home: () => show(0, span),
    End: () => show(run.duration - span, run.duration),
    "+": () => zoom(0.8, (view.start + view.end) / 2),
    "-": () => zoom(1.25, (view.start + view.end) / 2),
  };
  const move = moves[event.key === "=" ? "+" : event.key];
  if (!move || event.ctrlKey || event.metaKey || event.altKey) return;
  event.preventDefault();
  move();
  redraw();
});

function press(id, action) {
  document.getElementById(id).addEventListener("click", () => {
    action();
    redraw();
  });
}
press("zoom-in", () => zoom(0.6, (view.start + view.end) / 2));
press("zoom-out", () => zoom(1 / 0.6, (view.start + view.end) / 2));
press("zoom-30", () => show(view.start, view.start + 30));
press("zoom-all", () => show(0, run.duration));

if (run.pictures.length) {
  const first = new Image();
  first.addEventListener("load", () => {
    aspect = Math.min(Math.max(first.naturalWidth / first.naturalHeight, 0.5), 3);
    redraw();
  });
  first.src = `data:image/jpeg;base64,${run.pictures[0][1]}`;
}

addEventListener("hashchange", follow);
addEventListener("resize", resize);
resize();
follow();
