// One run, live: asks the server for the points after its cursor. What it shows stands beside the template, so that redrawing the
// template keeps it. run_charts.js and run_verdict.js come first, in the same scope.
const BACKGROUND_MILLISECONDS = 5000;
const LONGEST_WAIT_MILLISECONDS = 10000;
const stage = document.createElement('section');
stage.className = 'run';
stage.innerHTML = `
  <header>
    <h3 class="run-title"></h3><span class="run-state"></span>
    <p class="run-about"></p>
  </header>
  <div class="run-verdict" hidden></div>
  <div class="run-progress">
    <ol class="run-parts"></ol>
    <progress class="run-bar" max="100" value="0"></progress>
    <p class="run-line"></p>
    <p class="run-coach" role="status"></p>
  </div>
  <div class="run-fault" role="alert" hidden></div>
  <div class="fitting-changes" hidden></div>
  <div class="run-buttons">
    <button type="button" class="run-resume" hidden></button>
    <button type="button" class="run-stop" hidden></button>
    <button type="button" class="run-notify" hidden></button>
  </div>
  <p class="run-more"></p>
  <div class="run-plots"></div>
  <div class="run-samples" hidden></div>
  <div class="run-tables"></div>
  <p class="vh" role="status"></p>`;
element.appendChild(stage);
const at = (name) => stage.querySelector(name);
const value = (name) => (props.value || {})[name];
const lang = window.studioLanguage || 'en';
let run = '';
let file = '';
let offset = 0;
let sampleBytes = 0;
let isEnded = false;
let isSeen = false;
let isAsking = false;
let failures = 0;
let timer = null;
let shownState = '';
let shownTables = '';
let shownVerdict = '';
let shownRemedies = '';
let shownParts = '';
// The run whose end is to be notified.
let notifiedRun = '';

const setText = (name, text) => {
  if (at(name).textContent !== text) at(name).textContent = text;
};
const setButton = (name, text) => {
  at(name).hidden = !text;
  setText(name, text || '');
};
const clear = () => {
  removeCharts();
  at('.run-tables').replaceChildren();
  at('.run-samples').hidden = true;
  at('.run-verdict').hidden = true;
  shownTables = '';
  shownVerdict = '';
};

const showParts = (parts) => {
  const text = JSON.stringify(parts);
  if (text === shownParts) return;
  shownParts = text;
  const items = parts.map(({ name, state }) => {
    const item = make('li', state, name);
    if (state === 'current') item.setAttribute('aria-current', 'step');
    return item;
  });
  at('.run-parts').setAttribute('aria-label', value('parts'));
  at('.run-parts').replaceChildren(...items);
};
const showSamples = (samples) => {
  const cards = samples.map(({ question, answer, reward }) => {
    const card = make('article', 'sample');
    card.append(make('p', 'asked', question), make('p', 'said', answer), make('p', 'score', `${value('score')} ${reward}`));
    return card;
  });
  at('.run-samples').hidden = !cards.length;
  at('.run-samples').replaceChildren(make('h4', '', value('latest')), ...cards);
};
const showOutcome = (answer) => {
  const tables = JSON.stringify(answer.tables);
  if (tables !== shownTables) {
    shownTables = tables;
    at('.run-tables').replaceChildren(...answer.tables.map(makeTable));
  }
  const verdict = JSON.stringify(answer.verdict);
  if (verdict !== shownVerdict) {
    shownVerdict = verdict;
    showVerdict(answer.verdict);
  }
};
// Where memory ran out: plans that fit, a button each.
const showRemedies = ({ heading = '', steps = [] }) => {
  const text = JSON.stringify([run, heading, steps]);
  if (text === shownRemedies) return;
  shownRemedies = text;
  at('.fitting-changes').hidden = !heading;
  at('.fitting-changes').replaceChildren(make('p', '', heading), makeSteps(steps));
};
const showProgress = (answer) => {
  at('.run-progress').hidden = !answer.parts.length;
  at('.run-progress').dataset.state = answer.kind;
  showParts(answer.parts);
  at('.run-bar').value = answer.percent;
  at('.run-bar').setAttribute('aria-label', answer.state);
  setText('.run-line', answer.line);
  setText('.run-coach', answer.coach);  // a screen reader reads each change
};
const showNotify = (answer) => {
  const canNotify = 'Notification' in window && !answer.ended;
  const isDenied = canNotify && Notification.permission === 'denied';
  const text = notifiedRun === run ? value('notifying') : value('notify');
  setButton('.run-notify', canNotify ? (isDenied && value('blocked')) || text : '');
  at('.run-notify').disabled = isDenied || notifiedRun === run;
};
// The share done stands in the browser's title while the run goes on.
const showTitle = (answer) => {
  window.studioTitle(answer.ended ? '' : `${Math.floor(answer.percent)} % · ${answer.title}`);
};
const tellState = (answer) => {
  if (answer.state === shownState) return;
  if (shownState) trigger('moved');
  shownState = answer.state;
  setText('.vh[role=status]', `${answer.title}: ${answer.state}. ${answer.fault}`);
  if (answer.ended && notifiedRun === run) {
    notifiedRun = '';
    new Notification(answer.title, { body: [answer.state, answer.verdict?.headline].filter(Boolean).join('. ') });
  }
};
const show = (answer) => {
  setText('.run-title', answer.title);
  setText('.run-state', answer.state);
  at('.run-state').dataset.state = answer.kind;
  setText('.run-about', answer.about);
  setText('.run-more', answer.more);
  setText('.run-fault', answer.fault);
  at('.run-fault').hidden = !answer.fault;
  showRemedies(answer.remedies);
  setButton('.run-resume', answer.resume);
  setButton('.run-stop', answer.stop);
  at('.run-stop').disabled = false;
  showProgress(answer);
  showNotify(answer);
  showTitle(answer);
  if (answer.samples) showSamples(answer.samples);
  showOutcome(answer);
  tellState(answer);
};

const askLater = (milliseconds) => {
  clearTimeout(timer);
  timer = setTimeout(ask, milliseconds);
};
const take = (answer) => {
  if (answer.gone) {
    stage.hidden = true;
    isEnded = true;
    return;
  }
  if (answer.restart) clear();
  const isNew = stage.hidden;
  stage.hidden = false;
  stepName = answer.step;
  answer.charts.forEach(addChart);
  show(answer);
  if (isNew) document.dispatchEvent(new CustomEvent('studio-run-shown', { detail: run }));
  offset = answer.offset;
  file = answer.file;
  sampleBytes = answer.sampled;
  isEnded = answer.ended && !answer.points.length;
  takePoints(answer.points);  // drawing may wait for Plotly, asking does not
};
// A run in the background is asked for less often, but it is: the browser's title says how far it is.
const nextWait = () => {
  if (failures) return Math.min(LONGEST_WAIT_MILLISECONDS, 1000 * 2 ** failures);
  return document.hidden || !isSeen ? BACKGROUND_MILLISECONDS : 1000;
};
async function ask() {
  if (!element.isConnected) return;
  if (!run || isAsking) {
    askLater(1000);
    return;
  }
  isAsking = true;
  const askedRun = run;
  try {
    const answer = await server.poll([askedRun, offset, lang, file, sampleBytes]);
    failures = 0;
    if (askedRun === run) take(answer);
  } catch (error) {
    failures += 1;
    setText('.run-line', value('reconnecting') || '…');
  }
  isAsking = false;
  if (!isEnded || failures) askLater(nextWait());
}
const attach = () => {
  const wanted = value('run') || '';
  if (!stage.isConnected) element.appendChild(stage);
  if (wanted !== run) {
    clear();
    run = wanted;
    offset = 0;
    file = '';
    sampleBytes = 0;
    shownState = '';
    stage.hidden = true;
  }
  isEnded = false;
  if (run) ask();
};

at('.run-resume').addEventListener('click', () => {
  at('.run-resume').hidden = true;
  trigger('resume', { id: run });
});
at('.run-stop').addEventListener('click', () => {
  at('.run-stop').disabled = true;
  trigger('halt', { id: run });
});
at('.run-notify').addEventListener('click', async () => {
  const permission = await Notification.requestPermission();
  if (permission === 'granted') notifiedRun = run;
  showNotify({ ended: isEnded });
});
new IntersectionObserver(([entry]) => {
  isSeen = entry.isIntersecting;
  if (!isSeen) return;
  if (!stage.isConnected) element.appendChild(stage);
  if (run && !isEnded) ask();
  drawStaleCharts();
}).observe(element.parentElement);
new MutationObserver(redrawCharts).observe(document.body, { attributes: true, attributeFilter: ['class'] });
document.addEventListener('visibilitychange', () => {
  if (!document.hidden && run && !isEnded) ask();
});
stage.hidden = true;
attach();
watch('value', attach);
