// The table of all runs: sorted and searched here, so that neither asks the server. Texts go in as text only, never as HTML.
const COLUMNS = ['name', 'data', 'method', 'model', 'state', 'score', 'time', 'size', 'cost'];
const MOST_ROWS = 50;
const make = (name, className, text) => {
  const made = document.createElement(name);
  if (className) made.className = className;
  if (text != null) made.textContent = text;
  return made;
};
const makeButton = (text, act) => {
  const made = make('button', '', text);
  made.type = 'button';
  made.addEventListener('click', act);
  return made;
};
const value = () => props.value || {};
const rows = () => value().rows || [];
const word = (name) => (value().words || {})[name] || '';

let sortedBy = '';
let isDescending = false;
let isWhole = false;
let renamed = '';
// The runs that are ticked, to be compared.
const ticked = new Set();

// ---- The frame, once

const stage = make('details', 'runs');
const title = make('summary');
const search = make('input', 'runs-search');
const status = make('p', 'runs-said');
const statusText = make('span');
const undo = makeButton('', () => send('undo', value().deleted));
const frame = make('div', 'runs-frame');
const table = make('table', 'runs-table');
const head = make('thead');
const headRow = make('tr');
const body = make('tbody');
const none = make('p', 'runs-none');
const compareBar = make('p', 'runs-compare-bar');
const compare = makeButton('', () => trigger('compare', { ids: [...ticked] }));
const compareHint = make('span');
const more = makeButton('', showAll);
search.type = 'search';
status.setAttribute('role', 'status');
head.append(headRow);
table.append(head, body);
frame.append(table);
status.append(statusText, undo);
compare.className = 'runs-compare';
compareHint.setAttribute('role', 'status');
compareBar.append(compare, compareHint);
stage.append(title, search, status, frame, none, more, compareBar);
element.appendChild(stage);
search.addEventListener('input', draw);

// ---- What the person does

function send(action, id, values = {}) {
  trigger('act', { action, id, ...values });
}

function showAll() {
  isWhole = true;
  draw();
}

function sortBy(column) {
  isDescending = sortedBy === column && !isDescending;
  sortedBy = column;
  draw();
  headRow.querySelector(`[data-column="${column}"] button`).focus();
}

function openRun(row) {
  trigger('choose', { id: row.id });
  window.studioReveal(document.querySelector('#this-run'));
}

function tick(id, isTicked) {
  if (isTicked) ticked.add(id);
  else ticked.delete(id);
  showTicked();
}

function startRenaming(row) {
  renamed = row.id;
  draw();
  body.querySelector('form input').focus();
}

function focusName(id) {
  body.querySelector(`[data-run="${id}"] .runs-open`)?.focus();
}

function stopRenaming() {
  const id = renamed;
  renamed = '';
  draw();
  focusName(id);
}

// ---- Which rows, in which order

function sortValue(row) {
  const cell = row[sortedBy];
  return Array.isArray(cell) ? cell[1] : cell;
}

// What has no figure stands last, whichever way the rest is sorted.
function compareRows(first, second) {
  const [a, b] = [sortValue(first), sortValue(second)];
  if (a == null || b == null) return (a == null) - (b == null);
  const order = typeof a === 'number' ? a - b : String(a).localeCompare(String(b));
  return isDescending ? -order : order;
}

function foundRows() {
  const wanted = search.value.trim().toLowerCase();
  const matches = (row) => [row.name, row.data, row.method, row.model, row.state].join(' ').toLowerCase().includes(wanted);
  const found = rows().filter(matches);
  if (sortedBy) found.sort(compareRows);
  return found.sort((first, second) => second.pinned - first.pinned);
}

// ---- Drawing

function drawHeading(column) {
  const heading = make('th');
  heading.scope = 'col';
  heading.dataset.column = column;
  const direction = isDescending ? 'descending' : 'ascending';
  heading.setAttribute('aria-sort', column === sortedBy ? direction : 'none');
  heading.append(makeButton(word(column), () => sortBy(column)));
  return heading;
}

function drawRenaming(row) {
  const form = make('form');
  const input = make('input');
  input.value = row.name;
  input.maxLength = 120;
  input.setAttribute('aria-label', word('rename'));
  const save = make('button', '', word('save'));
  form.append(input, save);
  form.addEventListener('submit', (event) => {
    event.preventDefault();
    send('rename', row.id, { name: input.value });
    stopRenaming();
  });
  input.addEventListener('keydown', (event) => {
    if (event.key === 'Escape') stopRenaming();
  });
  return form;
}

function drawName(row) {
  const cell = make('th');
  cell.scope = 'row';
  if (row.id === renamed) {
    cell.append(drawRenaming(row));
    return cell;
  }
  const open = makeButton(row.pinned ? `★ ${row.name}` : row.name, () => openRun(row));
  open.className = 'runs-open';
  if (row.id === value().shown) open.setAttribute('aria-current', 'true');
  cell.append(drawTick(row), open, make('span', 'runs-when', row.when[0]));
  return cell;
}

function drawTick(row) {
  const box = make('input', 'runs-tick');
  box.type = 'checkbox';
  box.checked = ticked.has(row.id);
  box.setAttribute('aria-label', `${word('compare')}: ${row.name}`);
  box.addEventListener('change', () => tick(row.id, box.checked));
  return box;
}

function showTicked() {
  const isFull = ticked.size >= value().mostCompared;
  for (const box of body.querySelectorAll('.runs-tick')) box.disabled = isFull && !box.checked;
  compare.textContent = ticked.size ? `${word('compare')} (${ticked.size})` : word('compare');
  compare.disabled = ticked.size < 2;
  compareHint.textContent = compare.disabled ? word('choose') : '';
}

function drawAction(name, row, act) {
  const button = makeButton(word(name), act);
  button.setAttribute('aria-label', `${word(name)}: ${row.name}`);
  return button;
}

function drawActions(row) {
  const cell = make('td', 'runs-actions');
  const pin = row.pinned ? 'unpin' : 'pin';
  cell.append(
    drawAction(pin, row, () => send(pin, row.id)),
    drawAction('rename', row, () => startRenaming(row)),
    drawAction('again', row, () => trigger('again', { id: row.id })),
  );
  if (row.ended) cell.append(drawAction('delete', row, () => send('delete', row.id)));
  return cell;
}

function drawRow(row) {
  const line = make('tr');
  line.dataset.run = row.id;
  line.append(drawName(row));
  for (const column of COLUMNS.slice(1)) {
    const text = Array.isArray(row[column]) ? row[column][0] : row[column];
    const cell = make('td', `runs-${column}`, text || '–');
    cell.dataset.label = word(column);
    line.append(cell);
  }
  line.append(drawActions(row));
  return line;
}

function draw() {
  const found = foundRows();
  const shown = isWhole ? found : found.slice(0, MOST_ROWS);
  const actions = make('th', '', word('actions'));
  actions.scope = 'col';
  stage.hidden = !rows().length && !value().deleted;
  title.textContent = `${word('title')} (${rows().length})`;
  search.placeholder = word('search');
  search.setAttribute('aria-label', word('search'));
  table.setAttribute('aria-label', word('title'));
  headRow.replaceChildren(...COLUMNS.map(drawHeading), actions);
  body.replaceChildren(...shown.map(drawRow));
  frame.hidden = !found.length;
  none.textContent = word('none');
  none.hidden = found.length > 0 || !rows().length;
  more.textContent = `${word('more')} (${found.length})`;
  more.hidden = shown.length === found.length;
  compareBar.hidden = rows().length < 2;
  showTicked();
}

function forgetGoneRuns() {
  const ids = new Set(rows().map((row) => row.id));
  for (const id of ticked) {
    if (!ids.has(id)) ticked.delete(id);
  }
}

// An update while a name is being typed waits until that is done.
function update() {
  if (statusText.textContent !== value().said) statusText.textContent = value().said || '';
  undo.textContent = word('undo');
  undo.hidden = !value().deleted;
  status.classList.toggle('vh', !value().said);
  forgetGoneRuns();
  if (renamed) return;
  const focusedRun = document.activeElement?.closest('[data-run]')?.dataset.run;
  draw();
  if (value().deleted) undo.focus();
  else if (focusedRun) focusName(focusedRun);
}

update();
watch('value', update);
