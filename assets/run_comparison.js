// Two to five runs side by side: one chart of their losses for each stage, what the rows show, and one table. plots.js comes first,
// in the same scope. Texts go in as text only, never as HTML.
const value = () => props.value || {};
const word = (name) => (value().words || {})[name] || '';
const runColour = (run) => colour(`--run-${run + 1}`);

const stage = make('section', 'comparison');
const header = make('header');
const title = make('h3');
const close = make('button');
const findings = make('ul', 'comparison-findings');
const figures = make('div');
const frame = make('div', 'outcome-frame');
const folded = make('div');
let plots = [];
title.tabIndex = -1;
close.type = 'button';
close.addEventListener('click', hide);
header.append(title, close);
frame.tabIndex = 0;
frame.setAttribute('role', 'region');
stage.append(header, findings, figures, frame, folded);
stage.hidden = true;
element.appendChild(stage);

function hide() {
  stage.hidden = true;
  document.querySelector('#all-runs .runs-compare')?.focus();
}

// ---- The charts

function drawCurve(curve, isNamed) {
  return {
    ...thin(curve.x, curve.y),
    name: curve.check ? `${value().names[curve.run]} (${word('validation')})` : value().names[curve.run],
    mode: curve.check ? 'lines+markers' : 'lines',
    line: { color: runColour(curve.run), width: 2, dash: curve.check ? 'dot' : 'solid' },
    marker: { size: 7 },
    opacity: curve.check ? 1 : 0.4,
    legendgroup: String(curve.run),
    showlegend: isNamed,
    hovertemplate: '%{y:.4~g}',
  };
}

// A run stands in the legend once, with whichever of its curves comes first.
function drawCurves(curves) {
  const named = new Set();
  return curves.map((curve) => {
    const isNamed = !named.has(curve.run);
    named.add(curve.run);
    return drawCurve(curve, isNamed);
  });
}

function describeLast(curve) {
  const kind = word(curve.check ? 'validation' : 'training');
  return `${value().names[curve.run]}, ${kind}: ${curve.y[curve.y.length - 1].toFixed(3)}`;
}

function drawPlot({ plot, curves }) {
  const layout = {
    ...baseLayout(getComputedStyle(stage).fontFamily),
    height: 340,
    margin: { l: 56, r: 12, t: 28, b: 44 },
    showlegend: true,
    xaxis: { ...axisLook(), title: { text: word('epochs'), font: { size: 13 } } },
    yaxis: { ...axisLook(), automargin: true, range: valueRange({ curves }) },
  };
  window.Plotly.react(plot, drawCurves(curves), layout, { responsive: true, displayModeBar: false });
}

async function drawPlots() {
  if (stage.hidden || !plots.length) return;
  await loadPlotly(value().plotly);
  plots.forEach(drawPlot);
}

function addChart(chart) {
  const figure = make('figure', 'run-chart');
  const caption = make('figcaption', '', [chart.title, word('loss')].filter(Boolean).join(': '));
  const plot = make('div', 'run-plot');
  plot.setAttribute('role', 'img');
  plot.setAttribute('aria-label', `${caption.textContent}. ${chart.curves.map(describeLast).join('; ')}`);
  figure.append(caption, plot);
  figures.append(figure);
  plots.push({ plot, curves: chart.curves });
}

function replaceCharts() {
  plots.forEach(({ plot }) => window.Plotly?.purge(plot));
  plots = [];
  figures.replaceChildren();
  value().charts.forEach(addChart);
  if (value().caution) figures.append(make('p', 'comparison-caution', value().caution));
}

// ---- The tables

function drawHead() {
  const head = make('thead');
  const row = make('tr');
  row.append(make('td'));
  value().names.forEach((name, run) => {
    const cell = make('th', '', name);
    const swatch = make('i', 'comparison-swatch');
    cell.scope = 'col';
    swatch.style.background = `var(--run-${run + 1})`;
    cell.prepend(swatch);
    row.append(cell);
  });
  head.append(row);
  return head;
}

function drawRow({ label, cells, differs }) {
  const row = make('tr', differs ? 'comparison-differs' : '');
  const heading = make('th', '', label);
  heading.scope = 'row';
  if (differs) heading.append(' ', make('span', 'comparison-mark', word('differs')));
  row.append(heading, ...cells.map((text) => make('td', '', text || '–')));
  return row;
}

function drawTable(caption, rows) {
  const table = make('table', 'outcome');
  const body = make('tbody');
  body.append(...rows.map(drawRow));
  table.append(make('caption', '', caption), drawHead(), body);
  return table;
}

function drawFolded({ title: caption, rows }) {
  const details = make('details');
  const foldedFrame = make('div', 'outcome-frame');
  foldedFrame.tabIndex = 0;
  foldedFrame.setAttribute('role', 'region');
  foldedFrame.setAttribute('aria-label', caption);
  foldedFrame.append(drawTable(caption, rows));
  details.append(make('summary', '', caption), foldedFrame);
  return details;
}

function update() {
  if (!value().names) return;
  stage.hidden = false;
  title.textContent = word('title');
  close.textContent = word('close');
  findings.replaceChildren(...value().findings.map((text) => make('li', '', text)));
  findings.hidden = !value().findings.length;
  frame.setAttribute('aria-label', word('table'));
  frame.replaceChildren(drawTable(word('table'), value().rows));
  folded.replaceChildren(...value().folded.map(drawFolded));
  replaceCharts();
  drawPlots();
  title.focus();
}

new MutationObserver(drawPlots).observe(document.body, { attributes: true, attributeFilter: ['class'] });
update();
watch('value', update);
