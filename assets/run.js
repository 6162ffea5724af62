// One run, live: asks the server for the points after its cursor and draws them beside the template, so that redrawing keeps them.
const stage = document.createElement('section');
stage.className = 'run';
stage.innerHTML = `<header><h3 class="run-title"></h3><span class="run-state"></span></header>
<div class="run-verdict" hidden></div><p class="run-about"></p><progress class="run-bar" max="100" value="0"></progress><p class="run-line"></p><p class="run-coach" role="status"></p><p class="run-more"></p>
<div class="run-fault" role="alert" hidden></div><button type="button" class="run-go-on" hidden></button>
<div class="run-plots"></div><div class="run-samples" hidden></div><div class="run-tables"></div><p class="vh" role="status"></p>`;
element.appendChild(stage);
const at = (name) => stage.querySelector(name);
const value = (name) => (props.value || {})[name];
const lang = window.studioLanguage || 'en';
let run = '', file = '', offset = 0, sampled = 0, charts = new Map(), ended = false, fails = 0, timer = null, busy = false, seen = false, said = '', told = '', ruled = '', step = '';

const load = () => window.Plotly ? Promise.resolve() : (window.studioPlotly ||= new Promise((done, failed) => {
  const script = document.createElement('script');
  script.src = value('plotly'); script.onload = done; script.onerror = (event) => { window.studioPlotly = null; failed(event); }; document.head.appendChild(script);
}));
const colour = (name) => getComputedStyle(document.body).getPropertyValue(name).trim();
const make = (name, className, text) => { const made = document.createElement(name); if (className) made.className = className; if (text != null) made.textContent = text; return made; };
const layout = (chart) => ({
  template: 'none', height: chart.half ? 270 : 320, margin: { l: 56, r: 12, t: 8, b: 44 }, paper_bgcolor: 'rgba(0,0,0,0)', plot_bgcolor: 'rgba(0,0,0,0)',
  font: { family: getComputedStyle(document.body).fontFamily, size: 13, color: colour('--body-text-color') }, hovermode: 'x unified', showlegend: chart.curves.length > 1,
  hoverlabel: { bgcolor: colour('--background-fill-secondary'), font: { color: colour('--body-text-color') } },
  legend: { orientation: 'h', x: 0, y: 1.02, yanchor: 'bottom' },
  xaxis: { title: { text: step, font: { size: 13 } }, gridcolor: colour('--border-color-primary'), zeroline: false, rangemode: 'tozero' },
  yaxis: { gridcolor: colour('--border-color-primary'), zeroline: false, automargin: true },
});
const traces = (chart) => chart.curves.map((curve) => curve.check
  ? { x: curve.x, y: curve.y, name: curve.name, mode: 'lines+markers', line: { color: colour('--curve-check'), width: 2, dash: 'dot' }, marker: { size: 8 }, hovertemplate: '%{y:.3f}' }
  : { x: curve.x, y: curve.y, name: curve.name, mode: 'lines', line: { color: colour('--curve-train'), width: 2 }, hovertemplate: '%{y:.3f}' });
const draw = (chart) => { window.Plotly.react(chart.plot, traces(chart), layout(chart), { responsive: true, displayModeBar: false }); chart.drawn = true; };
const redraw = () => { for (const chart of charts.values()) if (chart.drawn) draw(chart); };

const clear = () => {
  for (const chart of charts.values()) if (chart.drawn) window.Plotly.purge(chart.plot);
  charts = new Map(); at('.run-plots').replaceChildren(); at('.run-tables').replaceChildren(); at('.run-samples').hidden = true; at('.run-verdict').hidden = true; told = ''; ruled = '';
};
// A place for every chart the run can have, in order; each is shown once it has points.
// A chart's caption; where there is more to say of the curve, it opens that.
const explain = (id, axis) => {
  const caption = make('figcaption'), found = (value('curves') || {})[id.slice(id.indexOf('-') + 1)], heads = value('curveHeads') || {};
  if (!found) { caption.textContent = axis; return caption; }
  const more = make('details', 'curve-help'), name = make('summary', '', axis), mark = make('i', '', '?');
  mark.setAttribute('aria-hidden', 'true');
  name.append(mark, make('span', 'vh', heads.open)); more.append(name, make('p', '', found.plain));
  for (const part of ['good', 'bad', 'exact']) { const line = make('p', part === 'exact' ? 'exactly' : ''); line.append(make('b', '', heads[part]), ' ', found[part]); more.append(line); }
  caption.append(more);
  return caption;
};
const prepare = (found) => {
  for (const { id, stage: part, title, axis, half, curves } of found) {
    if (charts.has(id)) continue;
    const figure = make('figure', half ? 'run-chart half' : 'run-chart');
    if (title) at('.run-plots').appendChild(Object.assign(make('h4', '', title), { hidden: true }));
    const heading = title ? at('.run-plots').lastChild : charts.size ? [...charts.values()].pop().heading : null;
    figure.appendChild(explain(id, axis));
    const plot = make('div', 'run-plot'); plot.setAttribute('role', 'img'); figure.appendChild(plot); figure.hidden = true;
    at('.run-plots').appendChild(figure);
    charts.set(id, { part, title, axis, half, heading, figure, plot, drawn: false, curves: curves.map((curve) => ({ ...curve, x: [], y: [] })) });
  }
};
const take = async (points, mine) => {
  const fresh = new Map();
  for (const [part, number, measured] of points) for (const chart of charts.values()) {
    if (chart.part !== part) continue;
    chart.curves.forEach((curve, place) => {
      if (!(curve.key in measured)) return;
      if (!fresh.has(chart)) fresh.set(chart, chart.curves.map(() => [[], []]));
      fresh.get(chart)[place][0].push(number); fresh.get(chart)[place][1].push(measured[curve.key]);
    });
  }
  if (!fresh.size) return;
  await load();
  if (mine !== run) return;
  for (const [chart, added] of fresh) {
    chart.figure.hidden = false; if (chart.heading) chart.heading.hidden = false;
    if (chart.drawn && chart.plot.data) {  // extendTraces appends to the very lists that were drawn
      window.Plotly.extendTraces(chart.plot, { x: added.map((part) => part[0]), y: added.map((part) => part[1]) }, added.map((_, place) => place));
    } else {
      chart.curves.forEach((curve, place) => { curve.x.push(...added[place][0]); curve.y.push(...added[place][1]); });
      draw(chart);
    }
    const last = chart.curves.filter((curve) => curve.y.length).map((curve) => `${curve.name}: ${curve.y[curve.y.length - 1].toFixed(3)} (${step} ${curve.x[curve.x.length - 1]})`);
    chart.plot.setAttribute('aria-label', `${[chart.title, chart.axis].filter(Boolean).join(', ')}. ${last.join('; ')}`);
  }
};
const showSamples = (found) => {
  const place = at('.run-samples');
  place.hidden = !found.length;
  place.replaceChildren(make('h4', '', value('latest')), ...found.map((one) => {
    const card = make('article', 'sample');
    card.append(make('p', 'asked', one.question), make('p', 'said', one.answer), make('p', 'score', `${value('score')}: ${one.reward}`));
    return card;
  }));
};
const buildTables = (found) => found.map((one) => {
  const table = make('table', 'outcome'), head = table.createTHead().insertRow(), body = table.createTBody();
  table.prepend(make('caption', '', one.caption));
  for (const text of one.heads) { const cell = make('th', '', text); cell.scope = 'col'; head.appendChild(cell); }
  for (const row of one.rows) {
    const line = body.insertRow();
    row.forEach((text, place) => { const cell = make(place ? 'td' : 'th', '', text); if (!place) cell.scope = 'row'; line.appendChild(cell); });
  }
  const frame = make('div', 'outcome-frame'); frame.tabIndex = 0; frame.setAttribute('role', 'region'); frame.setAttribute('aria-label', one.caption); frame.appendChild(table);
  if (!one.folded) return frame;
  const fold = make('details');
  fold.append(make('summary', '', one.caption), frame);
  return fold;
});
// The verdict: sign, word and sentence in sight; reasons, tables and the confusion matrix behind one click.
const list = (items) => { const made = make('ul'); made.append(...items.map((text) => make('li', '', text))); return made; };
const drawMatrix = async (plot, matrix) => {
  await load();
  window.Plotly.react(plot, [{ type: 'heatmap', z: matrix.counts, x: matrix.labels, y: matrix.labels, colorscale: [[0, colour('--background-fill-secondary')], [1, colour('--curve-train')]], showscale: false, texttemplate: '%{z}', hovertemplate: `${matrix.expected}: %{y}<br>${matrix.given}: %{x}<br>%{z}<extra></extra>` }], {
    template: 'none', height: 220 + 22 * matrix.labels.length, margin: { l: 8, r: 8, t: 8, b: 8 }, paper_bgcolor: 'rgba(0,0,0,0)', plot_bgcolor: 'rgba(0,0,0,0)', font: { size: 12, color: colour('--body-text-color') },
    xaxis: { title: { text: matrix.given }, automargin: true, type: 'category' }, yaxis: { title: { text: matrix.expected }, automargin: true, autorange: 'reversed', type: 'category' } }, { responsive: true, displayModeBar: false });
};
const showVerdict = (found) => {
  const card = at('.run-verdict');
  card.hidden = !found;
  if (!found) return;
  card.dataset.state = found.state;
  const head = make('p', 'verdict-word'), sign = make('span', 'verdict-sign', found.icon);
  sign.setAttribute('aria-hidden', 'true');
  head.append(sign, make('strong', '', found.word));
  card.replaceChildren(...(found.word ? [head] : []), make('p', 'verdict-line', found.headline));
  if (!found.word) return;
  card.setAttribute('role', 'region'); card.setAttribute('aria-label', found.heading);
  if (found.steps.length) card.append(make('p', 'verdict-next', found.next), list(found.steps));
  const more = make('details', 'verdict-more');
  more.append(make('summary', '', found.evidence), list(found.reasons));
  if (found.matrix) {
    const plot = make('div', 'verdict-matrix');
    plot.setAttribute('role', 'img'); plot.setAttribute('aria-label', found.matrix.title);
    more.append(make('h4', '', found.matrix.title), plot);
    more.addEventListener('toggle', () => { if (more.open) drawMatrix(plot, found.matrix); });
  }
  more.append(...buildTables(found.tables));
  card.append(more);
};
const show = (answer) => {
  at('.run-title').textContent = answer.title; at('.run-state').textContent = answer.state; at('.run-state').dataset.state = answer.kind;
  at('.run-bar').value = answer.percent; at('.run-bar').setAttribute('aria-label', answer.state); at('.run-line').textContent = answer.line; at('.run-about').textContent = answer.about; at('.run-more').textContent = answer.more;
  if (at('.run-coach').textContent !== answer.coach) at('.run-coach').textContent = answer.coach;  // a screen reader reads each change
  at('.run-fault').hidden = !answer.fault; at('.run-fault').textContent = answer.fault;
  at('.run-go-on').hidden = !answer.resumable; at('.run-go-on').textContent = value('goOn') || '';
  if (answer.samples) showSamples(answer.samples);
  const tables = JSON.stringify(answer.tables);
  if (tables !== told) { told = tables; at('.run-tables').replaceChildren(...buildTables(answer.tables)); }
  const judged = JSON.stringify(answer.verdict);
  if (judged !== ruled) { ruled = judged; showVerdict(answer.verdict); }
  if (answer.state !== said) { if (said) trigger('moved'); said = answer.state; at('.vh[role=status]').textContent = answer.title + ': ' + answer.state + '. ' + answer.fault; }
};
const plan = (ms) => { clearTimeout(timer); timer = setTimeout(ask, ms); };
async function ask() {
  if (!element.isConnected) return;
  if (!run || document.hidden || !seen || busy) return plan(1000);
  busy = true;
  const mine = run;
  try {
    const answer = await server.poll([mine, offset, lang, file, sampled]);
    fails = 0;
    if (mine === run && answer.gone) { stage.hidden = true; ended = true; }
    if (mine === run && !answer.gone) {
      if (answer.restart) clear();
      stage.hidden = false; step = answer.step; prepare(answer.charts); show(answer);
      await take(answer.points, mine);
      if (mine === run) { offset = answer.offset; file = answer.file; sampled = answer.sampled; ended = answer.ended && !answer.points.length; }
    }
  } catch (error) { fails += 1; at('.run-line').textContent = value('reconnecting') || '…'; }
  busy = false;
  if (!ended || fails) plan(Math.min(10000, 1000 * 2 ** fails));
}
const attach = () => {
  const wanted = value('run') || '';
  if (!stage.isConnected) element.appendChild(stage);
  if (wanted === run) { if (ended && run) { ended = false; ask(); } return; }
  clear();
  run = wanted; offset = 0; file = ''; sampled = 0; ended = false; said = '';
  stage.hidden = true;
  ask();
};
at('.run-go-on').addEventListener('click', () => { at('.run-go-on').hidden = true; trigger('resume', { id: run }); });
new IntersectionObserver((entries) => { seen = entries[0].isIntersecting; if (seen) { if (!stage.isConnected) element.appendChild(stage); ask(); redraw(); } }).observe(element.parentElement);
new MutationObserver(redraw).observe(document.body, { attributes: true, attributeFilter: ['class'] });
document.addEventListener('visibilitychange', () => { if (!document.hidden) ask(); });
stage.hidden = true;
attach();
watch('value', attach);
