// The verdict on a run that has ended, and the tables of its outcome. This file shares its scope with run.js.
const makeRow = (texts) => {
  const row = make('tr');
  texts.forEach((text, column) => {
    const cell = make(column ? 'td' : 'th', '', text);
    if (!column) cell.scope = 'row';
    row.append(cell);
  });
  return row;
};
const makePress = (text, onPress) => {
  const press = make('button', 'try-this', text);
  press.type = 'button';
  press.addEventListener('click', onPress);
  return press;
};
// A held-out row whose label is wrong: the right one is chosen, and the data corrected.
const openCorrection = (cell, act) => {
  const select = make('select');
  select.setAttribute('aria-label', act.choose);
  for (const label of act.labels) select.add(new Option(label, label, false, label === act.given));
  const send = makePress(act.send, () => {
    send.disabled = true;
    trigger('correct', { id: run, row: act.row, label: select.value });
  });
  cell.replaceChildren(select, send);
  select.focus();
};
const makeField = ({ label, text }) => {
  const field = make('textarea');
  field.setAttribute('aria-label', label);
  field.value = text;
  field.rows = 4;
  return field;
};
// A new example that begins as a held-out row, which a person changes.
const openAddition = (cell, act) => {
  const question = makeField(act.question);
  const answer = makeField(act.answer);
  const send = makePress(act.send, () => {
    send.disabled = true;
    trigger('include', { id: run, row: act.row, question: question.value, answer: answer.value });
  });
  cell.replaceChildren(question, answer, make('p', 'small', act.note), send);
  question.focus();
};
const makeActCell = (act) => {
  const cell = make('td', 'outcome-act');
  const openForm = act.labels ? openCorrection : openAddition;
  cell.append(makePress(act.open, () => openForm(cell, act)));
  return cell;
};
const makeTable = ({ caption, heads, rows, folded, acts = [] }) => {
  const table = make('table', 'outcome');
  const head = table.createTHead().insertRow();
  table.prepend(make('caption', '', caption));
  for (const text of heads) {
    const cell = make('th', '', text);
    cell.scope = 'col';
    head.append(cell);
  }
  const bodyRows = rows.map(makeRow);
  acts.forEach((act, index) => bodyRows[index].append(makeActCell(act)));
  if (acts.length) head.append(make('td'));
  table.createTBody().append(...bodyRows);
  const frame = make('div', 'outcome-frame');
  frame.tabIndex = 0;
  frame.setAttribute('role', 'region');
  frame.setAttribute('aria-label', caption);
  frame.append(table);
  if (!folded) return frame;
  const fold = make('details');
  fold.append(make('summary', '', caption), frame);
  return fold;
};
const makeList = (items) => {
  const made = make('ul');
  made.append(...items.map((text) => make('li', '', text)));
  return made;
};

const matrixTrace = (matrix) => ({
  type: 'heatmap',
  z: matrix.counts,
  x: matrix.labels,
  y: matrix.labels,
  colorscale: [[0, colour('--background-fill-secondary')], [1, colour('--curve-train')]],
  showscale: false,
  texttemplate: '%{z}',
  hovertemplate: `${matrix.expected}: %{y}<br>${matrix.given}: %{x}<br>%{z}<extra></extra>`,
});
const matrixLayout = (matrix) => ({
  template: 'none',
  height: 220 + 22 * matrix.labels.length,
  margin: { l: 8, r: 8, t: 8, b: 8 },
  paper_bgcolor: 'rgba(0,0,0,0)',
  plot_bgcolor: 'rgba(0,0,0,0)',
  font: { family: getComputedStyle(stage).fontFamily, size: 12, color: colour('--body-text-color') },
  xaxis: { title: { text: matrix.given }, automargin: true, type: 'category' },
  yaxis: { title: { text: matrix.expected }, automargin: true, autorange: 'reversed', type: 'category' },
});
const drawMatrix = async (plot, matrix) => {
  await loadPlotly(value('plotly'));
  window.Plotly.react(plot, [matrixTrace(matrix)], matrixLayout(matrix), { responsive: true, displayModeBar: false });
};
// The result beside what it was compared with, the first bar on top; above each bar its score, name and cost.
const barsTrace = ({ bars }) => ({
  type: 'bar',
  orientation: 'h',
  x: bars.map((bar) => bar.value),
  y: bars.map((bar, index) => index),
  text: bars.map((bar) => bar.text),
  textposition: 'none',
  marker: { color: bars.map((bar, index) => colour(index ? '--line' : '--curve-train')) },
  error_x: { type: 'data', symmetric: false, array: bars.map((bar) => bar.above), arrayminus: bars.map((bar) => bar.below), color: colour('--body-text-color') },
  hovertemplate: '%{text}<extra></extra>',
});
const barLabel = (bar, index) => ({
  x: 0,
  y: index,
  xref: 'paper',
  xanchor: 'left',
  yanchor: 'bottom',
  yshift: 8,
  showarrow: false,
  text: `<b>${bar.text}</b> ${[bar.name, bar.cost].filter(Boolean).join(', ')}`,
});
const barsLayout = ({ bars, isShare }) => ({
  template: 'none',
  height: 60 + 48 * bars.length,
  margin: { l: 4, r: 16, t: 12, b: 30 },
  annotations: bars.map(barLabel),
  paper_bgcolor: 'rgba(0,0,0,0)',
  plot_bgcolor: 'rgba(0,0,0,0)',
  font: { family: getComputedStyle(stage).fontFamily, size: 12, color: colour('--body-text-color') },
  xaxis: isShare ? { range: [0, 1], tickformat: '.0%', gridcolor: colour('--line') } : { gridcolor: colour('--line') },
  yaxis: { range: [bars.length - 0.5, -0.7], showticklabels: false, showgrid: false, zeroline: false },
  bargap: 0.7,
});
const drawBars = async (plot, chart) => {
  await loadPlotly(value('plotly'));
  window.Plotly.react(plot, [barsTrace(chart)], barsLayout(chart), { responsive: true, displayModeBar: false });
};
const addBars = (evidence, chart) => {
  const plot = make('div', 'verdict-bars');
  const spoken = chart.bars.map((bar) => `${bar.name}: ${bar.text}`).join('; ');
  plot.setAttribute('role', 'img');
  plot.setAttribute('aria-label', `${chart.title}. ${spoken}`);
  evidence.append(make('h4', '', chart.title), plot);
  evidence.addEventListener('toggle', () => {
    if (evidence.open) drawBars(plot, chart);
  });
};
const addMatrix = (evidence, matrix) => {
  const plot = make('div', 'verdict-matrix');
  plot.setAttribute('role', 'img');
  plot.setAttribute('aria-label', matrix.title);
  evidence.append(make('h4', '', matrix.title), plot);
  evidence.addEventListener('toggle', () => {
    if (evidence.open) drawMatrix(plot, matrix);
  });
};

// Sign, word and sentence in sight; reasons, tables and the confusion matrix behind a click.
const makeVerdictHead = (verdict) => {
  const head = make('p', 'verdict-word');
  const sign = make('span', 'verdict-sign', verdict.icon);
  sign.setAttribute('aria-hidden', 'true');
  head.append(sign, make('strong', '', verdict.word));
  return head;
};
const makeEvidence = (verdict) => {
  const evidence = make('details', 'verdict-more');
  evidence.append(make('summary', '', verdict.evidence), makeList(verdict.reasons));
  if (verdict.bars) addBars(evidence, verdict.bars);
  if (verdict.matrix) addMatrix(evidence, verdict.matrix);
  evidence.append(...verdict.tables.map(makeTable));
  return evidence;
};
// What to do next; where another plan does it, a button starts that.
const makeStep = ({ text, button, key }, number) => {
  const item = make('li', '', text);
  if (!button) return item;
  const press = makePress(button, () => {
    press.disabled = true;
    trigger('again', { id: run, step: key ?? number });
  });
  press.setAttribute('aria-label', `${button}: ${text}`);
  item.append(press);
  return item;
};
const makeSteps = (steps) => {
  const made = make('ul');
  made.append(...steps.map(makeStep));
  return made;
};
const showVerdict = (verdict) => {
  const card = at('.run-verdict');
  card.hidden = !verdict;
  if (!verdict) return;
  card.dataset.state = verdict.state;
  card.replaceChildren(make('p', 'verdict-line', verdict.headline));
  if (!verdict.word) return;
  card.setAttribute('role', 'region');
  card.setAttribute('aria-label', verdict.heading);
  card.prepend(makeVerdictHead(verdict));
  if (verdict.scores.length) card.append(make('p', 'verdict-scores', verdict.scores.join(' · ')));
  if (verdict.steps.length) card.append(make('p', 'verdict-next', verdict.next), makeSteps(verdict.steps));
  card.append(makeEvidence(verdict));
};
