// The charts of a run. Every point is kept in lists of our own, from which each drawing is made anew: Plotly's own lists do not
// survive a redraw. This file shares its scope with plots.js and with run.js, which takes the points from the server.
let charts = new Map();
let stepName = '';

// All charts of a stage run over the same steps; a little room keeps the first and the last dot whole.
const stepRange = (stageName) => {
  const curves = [...charts.values()].filter((chart) => chart.stage === stageName).flatMap((chart) => chart.curves);
  const last = Math.max(1, ...curves.filter((curve) => curve.x.length).map((curve) => curve.x[curve.x.length - 1]));
  return [-0.025 * last, 1.04 * last];
};

const referenceLine = ({ name, value: height, isBelow }) => ({
  type: 'line',
  xref: 'paper',
  x0: 0,
  x1: 1,
  y0: height,
  y1: height,
  line: { color: colour('--body-text-color-subdued'), width: 1, dash: 'dash' },
  label: { text: name, textposition: 'end', yanchor: isBelow ? 'top' : 'bottom', font: { size: 11, color: colour('--body-text-color-subdued') } },
});
// What is known beforehand, and what the first validation measured before any step.
const referenceLines = (chart) => {
  const check = chart.curves.find((curve) => curve.check && curve.x[0] === 0);
  // Shares rise from it, and other values fall: its name stands on the other side.
  const start = check ? [{ name: chart.start, value: check.y[0], isBelow: chart.isShare }] : [];
  return [...chart.lines, ...start].map(referenceLine);
};
const layout = (chart, traces) => ({
  ...baseLayout(getComputedStyle(stage).fontFamily),
  height: chart.isHalf ? 270 : 320,
  margin: { l: 56, r: 12, t: 28, b: 44 },
  showlegend: traces.length > 1,
  shapes: referenceLines(chart),
  xaxis: { ...axisLook(), title: { text: stepName, font: { size: 13 } }, range: stepRange(chart.stage) },
  yaxis: { ...axisLook(), automargin: true, range: valueRange(chart), tickformat: chart.isShare ? '.0%' : '' },
});
const trace = (curve, chart) => ({
  ...thin(curve.x, curve.y),
  name: curve.name,
  mode: curve.check ? 'lines+markers' : 'lines',
  line: { color: colour(curve.check ? '--curve-check' : '--curve-train'), width: 2, dash: curve.check ? 'dot' : 'solid' },
  marker: { size: 7 },
  hovertemplate: chart.isShare ? '%{y:.1%}' : '%{y:.4~g}',
});
// A ring around the validation whose state is kept.
const bestTraces = (chart) => chart.curves.filter((curve) => curve.check && curve.x.includes(chart.best)).map((curve) => ({
  x: [chart.best],
  y: [curve.y[curve.x.indexOf(chart.best)]],
  name: `${value('best')} ${chart.best}`,
  mode: 'markers',
  marker: { size: 15, color: colour('--good'), symbol: 'circle-open', line: { width: 2.5 } },
  hoverinfo: 'skip',
}));

// A chart that cannot be seen has no size: it is drawn when it comes into sight.
const drawChart = (chart) => {
  const traces = [...chart.curves.map((curve) => trace(curve, chart)), ...bestTraces(chart)];
  window.Plotly.react(chart.plot, traces, layout(chart, traces), { responsive: true, displayModeBar: false });
  chart.isStale = false;
};
const drawStaleCharts = async () => {
  const isStale = (chart) => chart.isStale && !chart.figure.hidden;
  if (!isSeen || ![...charts.values()].some(isStale)) return;
  try {
    await loadPlotly(value('plotly'));
  } catch {
    return;  // with the next points it is tried again
  }
  [...charts.values()].filter(isStale).forEach(drawChart);
};
const redrawCharts = () => {
  for (const chart of charts.values()) chart.isStale = true;
  return drawStaleCharts();
};
const removeCharts = () => {
  for (const chart of charts.values()) window.Plotly?.purge(chart.plot);
  charts = new Map();
  at('.run-plots').replaceChildren();
};

// A chart's caption; where there is more to say of the curve, it opens that.
const explainChart = (id, axis) => {
  const caption = make('figcaption');
  const about = (value('curves') || {})[id.slice(id.indexOf('-') + 1)];
  const heads = value('curveHeads') || {};
  if (!about) {
    caption.textContent = axis;
    return caption;
  }
  const more = make('details', 'curve-help');
  const summary = make('summary', '', axis);
  const mark = make('i', '', '?');
  mark.setAttribute('aria-hidden', 'true');
  summary.append(mark, make('span', 'vh', heads.open));
  more.append(summary, make('p', '', about.plain));
  for (const part of ['good', 'bad', 'exact']) {
    const line = make('p', part === 'exact' ? 'exactly' : '');
    line.append(make('b', '', heads[part]), ' ', about[part]);
    more.append(line);
  }
  caption.append(more);
  return caption;
};
// A place for every chart the run can have, in order; each is shown once it has points.
const addChart = ({ id, stage: stageName, title, axis, half, share, start, lines, curves }) => {
  if (charts.has(id)) return;
  const heading = title ? make('h4', '', title) : [...charts.values()].pop()?.heading;
  if (title) {
    heading.hidden = true;
    at('.run-plots').append(heading);
  }
  const figure = make('figure', half ? 'run-chart half' : 'run-chart');
  const plot = make('div', 'run-plot');
  plot.setAttribute('role', 'img');
  figure.hidden = true;
  figure.append(explainChart(id, axis), plot);
  at('.run-plots').append(figure);
  charts.set(id, {
    stage: stageName,
    title,
    axis,
    isHalf: half,
    isShare: share,
    start,
    lines,
    heading,
    figure,
    plot,
    best: null,
    isStale: false,
    curves: curves.map((curve) => ({ ...curve, x: [], y: [] })),
  });
};
const describeLast = (curve) => `${curve.name}: ${curve.y[curve.y.length - 1].toFixed(3)} (${stepName} ${curve.x[curve.x.length - 1]})`;
const labelChart = (chart) => {
  const last = chart.curves.filter((curve) => curve.y.length).map(describeLast);
  chart.plot.setAttribute('aria-label', `${[chart.title, chart.axis].filter(Boolean).join(', ')}. ${last.join('; ')}`);
};
const addPoint = (chart, step, measured) => {
  if ('best_step' in measured) chart.best = measured.best_step;
  for (const curve of chart.curves.filter(({ key }) => key in measured)) {
    curve.x.push(step);
    curve.y.push(measured[curve.key]);
    chart.figure.hidden = false;
    if (chart.heading) chart.heading.hidden = false;
  }
};
const takePoints = (points) => {
  const changed = new Set();
  for (const [stageName, step, measured] of points) {
    for (const chart of charts.values()) {
      if (chart.stage !== stageName) continue;
      addPoint(chart, step, measured);
      changed.add(chart);
    }
  }
  for (const chart of changed) {
    chart.isStale = true;
    labelChart(chart);
  }
  return drawStaleCharts();
};
