// Charts by Observable Plot. Each is a figure with a title, a note, a drawing that says in words what it shows, and
// the same numbers as a table. Colours are the page's own, so that light, dark and print need no second drawing.

const COLOURS = 8;
const SYMBOLS = ["circle", "square", "triangle", "diamond", "star", "wye", "cross", "hexagon"];

function colour(at) {
  return `var(--series-${at % COLOURS})`;
}

/** Where colours come round again, signs do not fall on the same ones. */
function symbol(at) {
  return SYMBOLS[(at + Math.floor(at / COLOURS)) % SYMBOLS.length];
}

/** With more series than this, the names at the top of the page are enough, and intervals would hide each other. */
const NAMED = 6;

/** What is drawn again when the page's width changes. */
const drawings = [];

/** Puts a drawing into a figure, and keeps it as wide as the figure is. */
function drawn(said, draw) {
  const place = el("div", { class: "drawing", role: "img", "aria-label": said });
  let width = 0;
  const again = () => {
    const now = Math.floor(place.clientWidth);
    if (now === width || now === 0) return;
    width = now;
    const plot = draw(now);
    // Plot's own rules of style stand in the page's.
    plot.querySelectorAll("style").forEach((style) => style.remove());
    plot.setAttribute("aria-hidden", "true");
    place.replaceChildren(plot);
  };
  drawings.push(again);
  return place;
}

function watchWidths() {
  drawings.forEach((again) => again());
  let waiting = 0;
  new ResizeObserver(() => {
    cancelAnimationFrame(waiting);
    waiting = requestAnimationFrame(() => drawings.forEach((again) => again()));
  }).observe(document.getElementById("page"));
}

/** A figure; `series` are named where there are several. */
function chart({ title, note, series = [], wide = false, drawing, numbers }) {
  return el(
    "figure",
    { class: wide ? "chart wide" : "chart" },
    el("figcaption", {}, el("h3", {}, title), note && el("p", { class: "note" }, note), series.length > 1 && series.length <= NAMED && legend(series)),
    drawing,
    numbers && folded("Numbers", numbers),
  );
}

function legend(series) {
  return el("ul", { class: "legend" }, series.map(({ name, colour, symbol }) =>
    el("li", {}, el("span", { class: `swatch ${symbol ?? "bar"}`, colour, "aria-hidden": "true" }), name)));
}

function options(width, height, more) {
  return { width, height, marginTop: 22, marginRight: 14, marginBottom: 26, marginLeft: 44, className: "plot", ...more };
}

/**
 * Values by model with their intervals: `series` is a list of {name, rows}, a row has model, value, low, high, points.
 * Points are the single seeds behind a mean.
 */
function byModel({ title, note, series, models, share = false, line, zero = false, domain }) {
  const kept = series.map((one, at) => ({ colour: colour(at), symbol: symbol(at), ...one, at })).filter((one) => one.rows.some((row) => isNumber(row.value)));
  if (kept.length === 0) return null;
  const values = kept.flatMap((one) => one.rows.flatMap((row) => [row.value, row.low, row.high, ...(row.points ?? []).map((point) => point.value)])).filter(isNumber);
  const known = [...values, ...(line === undefined ? [] : [line]), ...(zero ? [0] : [])];
  const span = domain ?? padded(Math.min(...known), Math.max(...known), zero);
  const drawing = drawn(saidOf(title, kept, share), (width) => {
    const step = kept.length > 1 && kept.length <= NAMED ? Math.min(9, (0.5 * (width - 60)) / models.length / kept.length) : 0;
    return Plot.plot(options(width, 190, {
      x: { type: "point", domain: models, label: null, padding: 0.4, tickSize: 0 },
      y: { domain: span, label: null, ticks: 4, tickSize: 0, grid: true, tickFormat: ticked(share, span) },
      marks: [
        line === undefined ? null : Plot.ruleY([line], { stroke: "var(--quiet)", strokeDasharray: "3 3" }),
        kept.map((one, at) => seriesMarks(one, (at - (kept.length - 1) / 2) * step, share, kept.length, step > 0 ? step / 2 : 7)),
      ],
    }));
  });
  const where = kept.length > NAMED ? "Intervals are among the numbers." : null;
  return chart({ title, note: [note, where].filter(Boolean).join(" "), series: kept, drawing, numbers: numbersOf(title, kept, share) });
}

/** How a tick is said: shares in per cent, with a decimal where whole ones would repeat. */
function ticked(share, [low, high]) {
  if (!share) return (value) => `${+value.toPrecision(4)}`.replace("-", "\u2212");
  const digits = high - low < 0.003 ? 2 : high - low < 0.03 ? 1 : 0;
  return (value) => `${fixed(100 * value, digits)} %`;
}

function padded(low, high, zero) {
  const room = 0.12 * (high - low || Math.abs(high) || 1);
  return [zero && low >= 0 ? 0 : low - room, high + room];
}

/** Single seeds stand left of their mean, so far that they do not fall on another's. */
function seriesMarks({ rows, colour, symbol }, dx, share, ofAll, left) {
  const there = rows.filter((row) => isNumber(row.value));
  if (ofAll > NAMED) return [Plot.line(there, { x: "model", y: "value", stroke: colour, strokeOpacity: 0.6 }), Plot.dot(there, { x: "model", y: "value", fill: colour, r: 2.5 })];
  const sure = there.filter((row) => isNumber(row.low) && isNumber(row.high));
  const points = there.flatMap((row) => (row.points ?? []).map((point) => ({ model: row.model, value: point.value })));
  return [
    Plot.line(there, { x: "model", y: "value", stroke: colour, strokeOpacity: 0.35, dx }),
    Plot.ruleX(sure, { x: "model", y1: "low", y2: "high", stroke: colour, strokeWidth: 2, dx }),
    Plot.dot(points, { x: "model", y: "value", r: 1.5, fill: colour, fillOpacity: 0.5, dx: dx - left }),
    Plot.dot(there, { x: "model", y: "value", fill: colour, r: 4, symbol, dx }),
    ofAll === 1 ? Plot.text(there, { x: "model", y: "value", text: (row) => share ? fixed(100 * row.value, 1) : figure(row.value), textAnchor: "start", dx: 8, fill: "var(--ink)", stroke: "var(--paper)", strokeWidth: 4 }) : null,
  ];
}

/** What a drawing shows, for who does not see it. */
function saidOf(title, series, share) {
  const rows = (one) => one.rows.filter((row) => isNumber(row.value)).map((row) => `${row.model} ${shown(row.value, share)} ${interval(row.low, row.high, share)}`.trim());
  return `${title}. ${series.map((one) => (one.name ? `${one.name}: ` : "") + rows(one).join(", ")).join(". ")}.`;
}

function numbersOf(title, series, share) {
  const heads = ["Of", "Model", "Value", "95 % interval", "n", "How", "Single seeds"];
  const seeds = (row) => (row.points ?? []).map((point) => `${point.seed}: ${shown(point.value, share)}`).join(", ");
  const rows = series.flatMap((one) => one.rows.map((row) => [one.name ?? "", row.model, shown(row.value, share), interval(row.low, row.high, share), row.n === undefined ? "" : thousands(row.n), row.method ?? "", seeds(row)]));
  const told = heads.map((_, at) => rows.some((row) => row[at] !== ""));
  const only = (row) => row.filter((_, at) => told[at]);
  return table(title, only(heads), rows.map(only));
}
