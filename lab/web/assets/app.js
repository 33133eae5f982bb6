"use strict";
// Charts are drawn from data; a run under way is followed by its events. Without this
// script pages work, but do not move.
(() => {
  const variable = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();
  const ink = () => variable("--faint"), rule = () => variable("--line");
  const seen = (color) => color === "#000000" ? variable("--ink") : color; // black on a dark page
  const number = (v) => v == null ? "–" : Math.abs(v) >= 1e5 || Math.abs(v) < 1e-3 && v !== 0 ? v.toExponential(1) : String(+v.toPrecision(3));

  // ticks are the points' own costs, as many as fit beside each other.
  const ticks = (xs, at) => { let last = -Infinity; return xs.filter((x) => { const ok = at(x) - last >= 36; if (ok) last = at(x); return ok; }); };

  // logTicks are 1, 2 and 5 of every power of ten, or the powers alone where they are many.
  const logTicks = (lo, hi) => {
    const from = Math.floor(Math.log10(lo)), to = Math.ceil(Math.log10(hi)), out = [];
    for (let k = from; k <= to; k++) for (const m of to - from > 4 ? [1] : [1, 2, 5]) out.push(+`${m}e${k}`);
    return out.filter((v) => v >= lo && v <= hi);
  };

  function draw(box, data) {
    box.replaceChildren();
    const places = (data || []).map((d) => {
      const el = document.createElement("section");
      el.className = "chart";
      if (d.panel) el.append(Object.assign(document.createElement("h3"), { textContent: d.panel }));
      box.append(el);
      return el;
    });
    (data || []).forEach((d, i) => drawOne(places[i], d)); // when all have their width
    box.dataset.points = (data || []).reduce((n, d) => n + (d.series || []).reduce((k, s) => k + s.mean.filter((y) => y != null).length, 0), 0);
  }

  function drawOne(el, d) {
    const say = (text) => el.append(Object.assign(document.createElement("p"), { className: "help lost", textContent: text }));
    if (!d.budgets || d.budgets.length === 0) return say("No point yet.");
    const axis = (label) => ({ label, stroke: ink(), grid: { stroke: rule(), width: 1 }, ticks: { stroke: rule(), width: 1 }, values: (u, vs) => vs.map((v) => v == null ? "" : number(v)) });
    const scale = (log) => log
      ? { distr: 3, log: 10, range: (u, lo, hi) => [lo / 1.15, hi * 1.15] }
      : { range: (u, lo, hi) => { const pad = (hi - lo || Math.abs(hi) || 1) * 0.06; return [lo - pad, hi + pad]; } };
    const width = Math.max(260, el.clientWidth);
    // Of a method in two runs the legend has one entry, which stands for both.
    const pair = d.series.map((s) => d.series.findIndex((o) => o.other === s.method && !s.other));
    const chart = new uPlot({
      hooks: { setSeries: [(u, i, o) => { if (i && "show" in o && pair[i - 1] >= 0) u.setSeries(pair[i - 1] + 1, { show: o.show }); }] },
      width, height: Math.round(Math.min(width * 0.62, 420)),
      scales: { x: { time: false, ...scale(d.logX && d.budgets[0] > 0) }, y: scale(d.logY) },
      axes: [{ ...axis(d.x), splits: (u) => ticks(d.budgets, (x) => u.valToPos(x, "x")), filter: (u, vs) => vs }, { ...axis(d.y), size: 62, ...(d.logY ? { splits: (u, i, lo, hi) => logTicks(lo, hi), filter: (u, vs) => vs } : {}) }],
      series: [{ label: d.x, value: (u, v) => number(v) },
        ...d.series.map((s) => ({ label: s.method, stroke: seen(s.color), width: 2, dash: s.dashed ? [6, 3] : undefined, spanGaps: true, points: { show: true, size: 6 }, value: (u, v) => number(v) }))],
    }, [d.budgets, ...d.series.map((s) => s.mean)], el);
    const entries = chart.root.querySelectorAll(".u-series");
    pair.forEach((i) => { if (i >= 0) entries[i + 1].classList.add("twin"); });
    chart.root.querySelectorAll(".u-series:not(:first-child) .u-label").forEach((label) => { // by keyboard too
      label.tabIndex = 0;
      label.setAttribute("role", "button");
      label.addEventListener("keydown", (e) => { if (e.key === "Enter" || e.key === " ") { e.preventDefault(); label.click(); } });
    });
    if (d.diverged) say("Diverged somewhere, off the chart there: " + d.diverged.join(", "));
  }

  document.addEventListener("htmx:configRequest", (e) => { // addresses without what is not asked
    const q = e.detail.parameters;
    if (e.detail.verb === "get") for (const name of Object.keys(q)) if (q[name] === "") delete q[name];
  });

  document.querySelectorAll("[data-charts]").forEach((box) => {
    const data = JSON.parse(box.dataset.charts);
    draw(box, data);
    let width = box.clientWidth;
    addEventListener("resize", () => { if (box.clientWidth !== width) { width = box.clientWidth; draw(box, data); } });
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => draw(box, data));
  });

  const left = (s) => s <= 0 ? "" : s < 90 ? `, about ${Math.ceil(s)} s left` : `, about ${Math.ceil(s / 60)} min left`;
  document.querySelectorAll("[data-events]").forEach((box) => {
    const state = box.querySelector(".state"), bar = box.querySelector("progress"), charts = box.querySelector(".charts");
    const source = new EventSource(box.dataset.events);
    const said = box.querySelector(".said");
    let drawn = 0, tenth = -1;
    source.addEventListener("waiting", (e) => {
      const n = +e.data;
      const text = n ? `Waiting: ${n} ${n === 1 ? "run" : "runs"} before this one.` : "Waiting.";
      if (state.textContent !== text) state.textContent = said.textContent = text;
    });
    source.addEventListener("progress", (e) => {
      const p = JSON.parse(e.data);
      bar.max = p.total || 1;
      bar.value = p.done;
      state.textContent = `${p.done} of ${p.total} cells${p.failed ? `, ${p.failed} failed` : ""}${left(p.left)}`;
      const now = Math.floor(10 * p.done / (p.total || 1)); // a screen reader is told every tenth
      if (now !== tenth) { tenth = now; said.textContent = state.textContent; }
      if (p.charts && (Date.now() - drawn > 400 || p.done === p.total)) { drawn = Date.now(); draw(charts, p.charts); }
    });
    source.addEventListener("end", () => { source.close(); location.replace(box.dataset.job); });
  });
})();
