// One run, live: asks the server for the points after its cursor and draws them beside the template, so that redrawing keeps them.
const stage = document.createElement('section');
stage.className = 'run';
stage.innerHTML = `<header><h3 class="run-title"></h3><span class="run-state"></span></header>
<p class="run-about"></p><progress class="run-bar" max="100" value="0"></progress><p class="run-line"></p><p class="run-more"></p>
<div class="run-fault" role="alert" hidden></div><div class="run-plot" role="img"></div><p class="vh" role="status"></p>`;
element.appendChild(stage);
const at = (name) => stage.querySelector(name);
const lang = (navigator.language || 'en').toLowerCase().startsWith('zh') ? 'zh' : 'en';
let run = '', offset = 0, steps = [], loss = [], checkSteps = [], checks = [], ended = false, fails = 0, timer = null, busy = false, seen = false, said = '', drawn = false, words = {};

const load = () => window.Plotly ? Promise.resolve() : (window.studioPlotly ||= new Promise((done, failed) => {
  const script = document.createElement('script');
  script.src = (props.value || {}).plotly; script.onload = done; script.onerror = (event) => { window.studioPlotly = null; failed(event); }; document.head.appendChild(script);
}));
const colour = (name) => getComputedStyle(document.body).getPropertyValue(name).trim();
const layout = () => ({
  template: 'none', height: 320, margin: { l: 52, r: 12, t: 8, b: 44 }, paper_bgcolor: 'rgba(0,0,0,0)', plot_bgcolor: 'rgba(0,0,0,0)',
  font: { family: getComputedStyle(document.body).fontFamily, size: 13, color: colour('--body-text-color') }, hovermode: 'x unified', showlegend: true,
  hoverlabel: { bgcolor: colour('--background-fill-secondary'), font: { color: colour('--body-text-color') } },
  legend: { orientation: 'h', x: 0, y: 1.12 },
  xaxis: { title: { text: words.step, font: { size: 13 } }, gridcolor: colour('--border-color-primary'), zeroline: false, rangemode: 'tozero' },
  yaxis: { title: { text: words.loss, font: { size: 13 } }, gridcolor: colour('--border-color-primary'), zeroline: false },
});
const traces = () => [
  { x: steps, y: loss, name: words.train, mode: 'lines', line: { color: colour('--curve-train'), width: 2 }, hovertemplate: '%{y:.3f}' },
  { x: checkSteps, y: checks, name: words.check, mode: 'lines+markers', line: { color: colour('--curve-check'), width: 2, dash: 'dot' }, marker: { size: 8 }, hovertemplate: '%{y:.3f}' },
];
const draw = () => { window.Plotly.react(at('.run-plot'), traces(), layout(), { responsive: true, displayModeBar: false }); drawn = true; };

const take = async (points, mine) => {
  const fresh = [[[], []], [[], []]];
  for (const [step, value, check] of points) {
    if (value != null) { fresh[0][0].push(step); fresh[0][1].push(value); }
    if (check != null) { fresh[1][0].push(step); fresh[1][1].push(check); }
  }
  if (!fresh[0][0].length && !fresh[1][0].length) return;
  await load();
  if (mine !== run) return;
  if (drawn && at('.run-plot').data) {  // extendTraces appends to the very lists that were drawn
    window.Plotly.extendTraces(at('.run-plot'), { x: [fresh[0][0], fresh[1][0]], y: [fresh[0][1], fresh[1][1]] }, [0, 1]);
    return;
  }
  steps.push(...fresh[0][0]); loss.push(...fresh[0][1]); checkSteps.push(...fresh[1][0]); checks.push(...fresh[1][1]);
  draw();
};
const show = (answer) => {
  at('.run-title').textContent = answer.title; at('.run-state').textContent = answer.state; at('.run-state').dataset.state = answer.kind;
  at('.run-bar').value = answer.percent; at('.run-bar').setAttribute('aria-label', answer.state); at('.run-line').textContent = answer.line; at('.run-about').textContent = answer.about; at('.run-more').textContent = answer.more;
  at('.run-fault').hidden = !answer.fault; at('.run-fault').textContent = answer.fault;
  at('.run-plot').setAttribute('aria-label', answer.aria);
  if (answer.state !== said) { said = answer.state; at('[role=status]').textContent = answer.title + ': ' + answer.state + '. ' + answer.fault; }
};
const plan = (ms) => { clearTimeout(timer); timer = setTimeout(ask, ms); };
async function ask() {
  if (!element.isConnected) return;
  if (!run || document.hidden || !seen || busy) return plan(1000);
  busy = true;
  const mine = run;
  try {
    const answer = await server.poll([mine, offset, lang]);
    fails = 0;
    if (mine === run && answer.gone) { stage.hidden = true; ended = true; }
    if (mine === run && !answer.gone) {
      stage.hidden = false; words = answer.words; show(answer);
      await take(answer.points, mine);
      if (mine === run) { offset = answer.offset; ended = answer.ended && !answer.points.length; }
    }
  } catch (error) { fails += 1; at('.run-line').textContent = (props.value || {}).reconnecting || '…'; }
  busy = false;
  if (!ended || fails) plan(Math.min(10000, 1000 * 2 ** fails));
}
const attach = () => {
  const wanted = (props.value || {}).run || '';
  if (!stage.isConnected) element.appendChild(stage);
  if (wanted === run) { if (ended && run) { ended = false; ask(); } return; }
  run = wanted; offset = 0; steps = []; loss = []; checkSteps = []; checks = []; ended = false; said = ''; drawn = false;
  if (window.Plotly) window.Plotly.purge(at('.run-plot'));
  stage.hidden = true;
  ask();
};
new IntersectionObserver((entries) => { seen = entries[0].isIntersecting; if (seen) { if (!stage.isConnected) element.appendChild(stage); ask(); if (drawn) draw(); } }).observe(element.parentElement);
new MutationObserver(() => { if (drawn) draw(); }).observe(document.body, { attributes: true, attributeFilter: ['class'] });
document.addEventListener('visibilitychange', () => { if (!document.hidden) ask(); });
stage.hidden = true;
attach();
watch('value', attach);
