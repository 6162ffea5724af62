// The table of all runs: sorted and searched here, so that neither asks the server. Texts go in as text only, never as HTML.
// `props.shown` is the id of the run that is looked at.
const COLUMNS = ['name', 'data', 'method', 'model', 'state', 'score', 'time', 'size', 'cost'];
const SHORT_LIST = 5;
const make = (name, className, text) => {
  const made = document.createElement(name);
  if (className) made.className = className;
  if (text != null) made.textContent = text;
  return made;
};
// A control is known by its name and its run or column, so that the focus stays on it when the table is drawn anew.
const controlKey = (name, about) => `${name} ${about}`;
const makeButton = (text, act, name = '', about = '') => {
  const made = make('button', '', text);
  made.type = 'button';
  if (name) made.dataset.control = controlKey(name, about);
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
// The run whose actions are shown, and the one that was chosen last, until its card is drawn.
let expanded = '';
let opening = '';
// The runs that are ticked, to be compared.
const ticked = new Set();

// ---- The frame, once

const stage = make('section', 'runs');
const title = make('h3');
const empty = make('p', 'runs-none');
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
const more = makeButton('', toggleAll, 'more');
title.id = 'runs-title';
stage.setAttribute('aria-labelledby', title.id);
search.type = 'search';
status.setAttribute('role', 'status');
head.append(headRow);
table.append(head, body);
frame.append(table);
status.append(statusText, undo);
compare.className = 'runs-compare';
more.className = 'runs-more';
compareHint.setAttribute('role', 'status');
compareBar.append(compare, compareHint);
stage.append(title, empty, search, status, frame, none, more, compareBar);
element.appendChild(stage);
search.addEventListener('input', draw);

// ---- What the person does

function send(action, id, values = {}) {
  trigger('act', { action, id, ...values });
}

function toggleAll() {
  isWhole = !isWhole;
  draw();
}

function sortBy(column) {
  isDescending = sortedBy === column && !isDescending;
  sortedBy = column;
  draw();
}

function openRun(row) {
  trigger('choose', { id: row.id });
  opening = row.id;
  if (row.id === props.shown) revealRun(row.id);
}

// Leads to the run that was chosen here, once its card is drawn.
function revealRun(id) {
  if (id !== opening) return;
  opening = '';
  window.studioReveal(document.querySelector('#live'));
}

// A press anywhere in a row opens it, unless it was meant for a control or marked a text to copy.
function pressRow(event, row) {
  if (event.target.closest('button, input') || String(getSelection())) return;
  openRun(row);
}

function toggleActions(row) {
  expanded = expanded === row.id ? '' : row.id;
  draw();
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

function focusControl(key) {
  stage.querySelector(`[data-control="${key}"]`)?.focus();
}

function stopRenaming() {
  const id = renamed;
  renamed = '';
  draw();
  focusControl(controlKey('open', id));
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

// A short list has the run that is looked at too.
function listedRows(found) {
  if (isWhole) return found;
  const first = found.slice(0, SHORT_LIST);
  const open = found.find((row) => row.id === props.shown);
  return open && !first.includes(open) ? [...first, open] : first;
}

// ---- Drawing

function cellText(row, column) {
  const cell = row[column];
  return (Array.isArray(cell) ? cell[0] : cell) || '';
}

// A column in which no run has anything is left out.
function filledColumns() {
  return COLUMNS.filter((column) => rows().some((row) => cellText(row, column)));
}

function drawHeading(column) {
  const heading = make('th');
  heading.scope = 'col';
  heading.dataset.column = column;
  const direction = isDescending ? 'descending' : 'ascending';
  heading.setAttribute('aria-sort', column === sortedBy ? direction : 'none');
  heading.append(makeButton(word(column), () => sortBy(column), 'sort', column));
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
  const open = makeButton(row.title, () => openRun(row), 'open', row.id);
  open.className = 'runs-open';
  if (row.id === props.shown) open.setAttribute('aria-current', 'true');
  cell.append(drawTick(row), open, make('span', 'runs-when', row.when[0]));
  return cell;
}

function drawTick(row) {
  const box = make('input', 'runs-tick');
  box.type = 'checkbox';
  box.dataset.control = controlKey('tick', row.id);
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

function drawAction(name, row, act, control = name) {
  const button = makeButton(word(name), act, control, row.id);
  button.setAttribute('aria-label', `${word(name)}: ${row.name}`);
  return button;
}

function drawExpander(row) {
  const cell = make('td', 'runs-expander');
  const button = makeButton('⋯', () => toggleActions(row), 'actions', row.id);
  button.setAttribute('aria-label', `${word('actions')}: ${row.name}`);
  button.setAttribute('aria-expanded', String(expanded === row.id));
  cell.append(button);
  return cell;
}

function drawActions(row, columnCount) {
  const line = make('tr', 'runs-actions');
  const cell = make('td');
  const pin = row.pinned ? 'unpin' : 'pin';
  cell.colSpan = columnCount;
  cell.append(
    drawAction('repeat', row, () => trigger('repeat', { id: row.id })),
    drawAction('again', row, () => trigger('again', { id: row.id })),
    drawAction('rename', row, () => startRenaming(row)),
    drawAction(pin, row, () => send(pin, row.id), 'pin'),
  );
  if (row.ended) cell.append(drawAction('delete', row, () => send('delete', row.id)));
  line.append(cell);
  return line;
}

function drawRow(row, columns) {
  const line = make('tr', 'runs-row');
  line.addEventListener('click', (event) => pressRow(event, row));
  line.append(drawName(row));
  for (const column of columns.slice(1)) {
    const text = cellText(row, column);
    const cell = make('td', `runs-${column}`, text || '–');
    cell.classList.toggle('runs-blank', !text);
    line.append(cell);
  }
  line.append(drawExpander(row));
  return row.id === expanded ? [line, drawActions(row, columns.length + 1)] : [line];
}

function drawTable(listed) {
  const columns = filledColumns();
  const actions = make('th');
  actions.scope = 'col';
  actions.append(make('span', 'vh', word('actions')));
  table.setAttribute('aria-label', word('title'));
  headRow.replaceChildren(...columns.map(drawHeading), actions);
  body.replaceChildren(...listed.flatMap((row) => drawRow(row, columns)));
}

function drawAround(found, listed) {
  const isEmpty = !rows().length;
  title.textContent = isEmpty ? word('title') : `${word('title')} (${rows().length})`;
  empty.textContent = word('empty');
  empty.hidden = !isEmpty;
  search.placeholder = word('search');
  search.setAttribute('aria-label', word('search'));
  search.hidden = rows().length <= SHORT_LIST;
  frame.hidden = !found.length;
  none.textContent = word('none');
  none.hidden = found.length > 0 || isEmpty;
  more.textContent = isWhole ? word('less') : `${word('more')} (${found.length})`;
  more.hidden = found.length <= SHORT_LIST || (!isWhole && listed.length === found.length);
  compareBar.hidden = rows().length < 2;
  showTicked();
}

function draw() {
  const focusedControl = document.activeElement?.dataset.control;
  const found = foundRows();
  const listed = listedRows(found);
  stage.hidden = !value().rows;
  drawTable(listed);
  drawAround(found, listed);
  if (focusedControl) focusControl(focusedControl);
}

function forgetGoneRuns() {
  const ids = new Set(rows().map((row) => row.id));
  for (const id of ticked) {
    if (!ids.has(id)) ticked.delete(id);
  }
}

// An update while a name is being typed waits until that is done.
function drawUnlessRenaming() {
  if (!renamed) draw();
}

function update() {
  if (statusText.textContent !== value().said) statusText.textContent = value().said || '';
  undo.textContent = word('undo');
  undo.hidden = !value().deleted;
  status.classList.toggle('vh', !value().said);
  forgetGoneRuns();
  drawUnlessRenaming();
  if (value().deleted) undo.focus();
}

update();
watch('value', update);
watch('shown', drawUnlessRenaming);
document.addEventListener('studio-run-shown', (event) => revealRun(event.detail));
