// The comparison table, drawn from its value: a row keeps its elements by its id, so that bars glide and focus stays.
// What the person sorted, filtered, compared and opened is kept here and outlives every update. Texts go in as text only,
// never as HTML.
const FIGURES = ['memory', 'time', 'money', 'updated', 'disk'];
const kept = (window.studioTable ||= { by: '', down: false, fits: false, refused: false, pins: [], opened: [] });

// ---- Elements

const make = (name, className, text) => {
  const made = document.createElement(name);
  if (className) made.className = className;
  if (text != null) made.textContent = text;
  return made;
};
const makeButton = (className, act) => {
  const made = make('button', className);
  made.type = 'button';
  made.addEventListener('click', act);
  return made;
};
const setText = (node, text) => {
  if (node.textContent !== (text || '')) node.textContent = text || '';
};
const setAttribute = (node, name, value) => {
  if (node.getAttribute(name) !== String(value)) node.setAttribute(name, value);
};
const setVisible = (node, isVisible) => {
  if (node.hidden === Boolean(isVisible)) node.hidden = !isVisible;
};
const setWidth = (node, percent) => {
  const wanted = `${percent || 0}%`;
  if (node.style.width !== wanted) node.style.width = wanted;
};
// A text that takes up no space where there is none.
const showText = (node, text) => {
  setText(node, text);
  setVisible(node, text);
};

// ---- What the table is to show

const tableValue = () => props.value || {};
const fill = (text, values) => Object.entries(values).reduce((result, [name, value]) => result.replace(`{${name}}`, value), text || '');
const word = (name, values = {}) => fill((tableValue().words || {})[name], values);
const findRow = (id) => tableValue().rows.find((row) => row.id === id);
const shownColumns = () => tableValue().columns;
const figureColumns = () => shownColumns().filter(({ id }) => id !== 'method');

// ---- The frame around the rows, once

const stage = make('section', 'costs');
const tools = make('div', 'costs-tools');
const about = make('p', 'costs-about');
const place = make('span');
const pending = make('span', 'costs-pending');
const onlyFits = makeButton('toggle', () => toggleFits());
const sorter = make('label', 'costs-sort');
const sortName = make('span');
const sortBy = make('select');
const exporter = make('details', 'costs-export');
const exportName = make('summary');
const csv = makeButton('link', () => copyText());
const image = makeButton('link', () => copyImage());
const status = make('p', 'costs-said');
const spare = make('textarea', 'vh');
const versus = make('section', 'versus');
const grid = make('table', 'methods');
const caption = make('caption', 'vh');
const head = make('thead');
const headRow = make('tr');
const body = make('tbody');
const refused = make('p', 'costs-refused');
const refusedText = make('span');
const refusedButton = makeButton('link', () => toggleRefused());
const empty = make('p', 'costs-none');
const emptyText = make('span');
const emptyButton = makeButton('link', () => clearFilter());

const buildFrame = () => {
  const roles = [[grid, 'table'], [head, 'rowgroup'], [body, 'rowgroup'], [headRow, 'row']];
  for (const [node, role] of roles) node.setAttribute('role', role);
  tools.setAttribute('role', 'group');
  status.setAttribute('role', 'status');
  spare.readOnly = true;
  spare.tabIndex = -1;
  spare.setAttribute('aria-hidden', 'true');
  sorter.append(sortName, sortBy);
  exporter.append(exportName, csv, image);
  tools.append(about, onlyFits, sorter, exporter);
  about.append(place, pending);
  head.append(headRow);
  grid.append(caption, head, body);
  refused.append(refusedText, ' ', refusedButton);
  empty.append(emptyText, ' ', emptyButton);
  stage.append(tools, status, spare, versus, grid, empty, refused);
  sortBy.addEventListener('change', () => {
    kept.by = sortBy.value.split(' ')[0];
    kept.down = sortBy.value.endsWith('most');
    render();
  });
};
const makeHeading = (id) => {
  const cell = make('th');
  cell.scope = 'col';
  cell.setAttribute('role', 'columnheader');
  cell.dataset.column = id;
  headRow.append(cell);
  return [id, cell];
};
buildFrame();
const headings = new Map(['method', ...FIGURES].map(makeHeading));

// ---- One row: its elements once, its texts at every update

const rows = new Map();
const makeCell = (id) => {
  const parts = {
    cell: make('td', id),
    state: make('span', 'state'),
    big: make('b'),
    plain: make('span', 'plain'),
    why: make('span', 'vh'),
    small: make('span', 'small'),
    gauge: make('span', 'gauge'),
    high: make('i', 'high'),
    likely: make('i', 'likely'),
    end: make('i', 'end'),
  };
  const line = make('span', 'figure');
  parts.cell.setAttribute('role', 'cell');
  parts.gauge.setAttribute('aria-hidden', 'true');
  line.append(parts.state, parts.big, parts.plain, parts.why);
  parts.gauge.append(parts.high, parts.likely, parts.end);
  parts.cell.append(line, parts.small, parts.gauge);
  return parts;
};
const makeRow = (id) => {
  const parts = {
    row: make('tr'),
    title: make('th'),
    pick: makeButton('pick', () => trigger('pick', { id })),
    name: make('span', 'name'),
    badge: make('span', 'badge'),
    short: make('span', 'small'),
    scarce: make('span', 'scarce'),
    refused: make('span', 'refused'),
    acts: make('span', 'acts'),
    details: makeButton('link details', () => toggleDetails(id)),
    pin: makeButton('link pin', () => togglePin(id)),
    lack: make('td', 'lack'),
    lacks: make('span', 'lacks'),
    remedies: make('span', 'small'),
    offers: make('div', 'offers'),
    more: make('td', 'more'),
    cells: new Map(FIGURES.map((column) => [column, makeCell(column)])),
    drawnOffers: '',
    drawnDetails: '',
  };
  const roles = [[parts.row, 'row'], [parts.title, 'rowheader'], [parts.lack, 'cell'], [parts.more, 'cell']];
  for (const [node, role] of roles) node.setAttribute('role', role);
  parts.row.dataset.id = id;
  parts.title.scope = 'row';
  parts.name.id = `method-${id}`;
  parts.more.id = `more-${id}`;
  for (const node of [parts.details, parts.pin]) node.setAttribute('aria-describedby', parts.name.id);
  parts.details.setAttribute('aria-controls', parts.more.id);
  parts.acts.append(parts.details, parts.pin);
  parts.title.append(parts.name, parts.badge, parts.short, parts.scarce, parts.refused, parts.acts);
  parts.lack.append(parts.lacks, parts.remedies, parts.offers);
  const cells = [...parts.cells.values()].map(({ cell }) => cell);
  parts.row.append(parts.title, ...cells, parts.lack, parts.more);
  parts.row.addEventListener('click', (event) => pickByRow(id, event));
  body.append(parts.row);
  return parts;
};
const pickByRow = (id, event) => {
  const isControl = event.target.closest('button, a, .more');
  if (findRow(id).open && !isControl && !String(getSelection())) trigger('pick', { id });
};
const fillCell = (parts, cell, label) => {
  setAttribute(parts.cell, 'data-head', label);
  setText(parts.big, cell.big);
  setText(parts.plain, cell.plain);
  setText(parts.state, cell.state);
  setText(parts.small, cell.small);
  setText(parts.why, cell.why);
  if (cell.why) setAttribute(parts.cell, 'title', cell.why);
  else parts.cell.removeAttribute('title');
  fillGauge(parts, cell.bar);
};
const fillGauge = (parts, bar) => {
  setVisible(parts.gauge, bar);
  if (!bar) return;
  setWidth(parts.high, bar.high);
  setWidth(parts.likely, bar.fill);
  parts.gauge.classList.toggle('over', Boolean(bar.over));
  setVisible(parts.end, bar.mark);
  if (bar.mark) parts.end.style.left = `${bar.mark}%`;
};
const fillOffers = (parts, row) => {
  const wanted = JSON.stringify(row.offers);
  if (parts.drawnOffers === wanted) return;
  parts.drawnOffers = wanted;
  row.offers.forEach((offer, number) => {
    const existing = parts.offers.children[number];
    const button = existing || parts.offers.appendChild(makeOffer(parts, row.id, number));
    setText(button.firstChild, offer.label);
    setText(button.lastChild, offer.figures);
  });
  while (parts.offers.children.length > row.offers.length) parts.offers.lastChild.remove();
};
const makeOffer = (parts, id, number) => {
  const button = makeButton('offer', () => trigger('remedy', { id, number }));
  button.append(make('b'), ' ', make('span'));
  button.setAttribute('aria-describedby', parts.name.id);
  return button;
};
const makeDetail = ({ head: title, text, steps, pairs }) => {
  const entry = make('div', 'entry');
  entry.append(make('h4', '', title));
  if (text) entry.append(make('p', '', text));
  if (steps) {
    const list = make('ol');
    list.append(...steps.map((step) => make('li', '', step)));
    entry.append(list);
  }
  if (pairs) {
    const list = make('dl');
    for (const [name, amount] of pairs) list.append(make('dt', '', name), make('dd', '', amount));
    entry.append(list);
  }
  return entry;
};
const fillDetails = (parts, row, isOpen) => {
  setVisible(parts.more, isOpen);
  setAttribute(parts.details, 'aria-expanded', isOpen);
  const wanted = isOpen ? JSON.stringify(row.more) : '';
  if (parts.drawnDetails === wanted) return;
  parts.drawnDetails = wanted;
  parts.more.replaceChildren(...(isOpen ? row.more.map(makeDetail) : []));
};
const fillName = (parts, row) => {
  if (!row.open) {
    if (parts.name.firstElementChild || parts.name.textContent !== row.name) parts.name.textContent = row.name;
    return;
  }
  setText(parts.pick, row.name);
  setAttribute(parts.pick, 'aria-pressed', row.kind === 'chosen');
  if (parts.pick.parentNode !== parts.name) parts.name.replaceChildren(parts.pick);
};
const fillRow = (parts, row) => {
  const isPinned = kept.pins.includes(row.id);
  const isOpen = kept.opened.includes(row.id);
  const className = `${row.kind} fits-${row.fit}${isPinned ? ' pinned' : ''}${isOpen ? ' opened' : ''}`;
  if (parts.row.className !== className) parts.row.className = className;
  fillName(parts, row);
  showText(parts.badge, row.badge);
  setText(parts.short, row.short);
  showText(parts.scarce, row.scarce);
  showText(parts.refused, row.refused);
  setText(parts.details, word('details'));
  setText(parts.pin, word('pin'));
  setAttribute(parts.pin, 'aria-pressed', isPinned);
  for (const { id, head: label } of figureColumns()) fillCell(parts.cells.get(id), row.cells[id], label);
  const shown = new Set(shownColumns().map(({ id }) => id));
  for (const [id, { cell }] of parts.cells) setVisible(cell, shown.has(id));
  showText(parts.lacks, row.lacks);
  showText(parts.remedies, row.remedies);
  setVisible(parts.lack, row.lacks || row.offers.length);
  fillOffers(parts, row);
  fillDetails(parts, row, isOpen);
};

// ---- What is shown, and in which order: compared rows first, unknown figures last whichever way it goes

const sortKey = (row) => {
  if (kept.by === 'method') return row.name;
  const raw = row.raw[kept.by];
  return raw ? raw[1] : null;
};
const compareRows = (one, other) => {
  const [first, second] = [sortKey(one), sortKey(other)];
  if (first === null || second === null) return (first === null) - (second === null);
  const difference = typeof first === 'string' ? first.localeCompare(second) : first - second;
  return kept.down ? -difference : difference;
};
const isShown = (row) => {
  if (row.refused && !kept.refused) return false;
  return !kept.fits || row.fit === 'yes' || row.fit === 'tight';
};
const orderedRows = () => {
  const shown = tableValue().rows.filter(isShown);
  if (kept.by) shown.sort(compareRows);
  const isPinned = (row) => kept.pins.includes(row.id);
  const isRefused = (row) => Boolean(row.refused);
  return shown.sort((one, other) => isPinned(other) - isPinned(one) || isRefused(one) - isRefused(other));
};
const announceCount = () => announce(word('shown', { count: orderedRows().length, all: tableValue().rows.length }));
const toggleFits = () => {
  kept.fits = !kept.fits;
  render();
  announceCount();
};
const toggleRefused = () => {
  kept.refused = !kept.refused;
  render();
  announceCount();
};
const clearFilter = () => {
  kept.fits = false;
  render();
  onlyFits.focus();
};
const toggleDetails = (id) => {
  kept.opened = kept.opened.includes(id) ? kept.opened.filter((other) => other !== id) : [...kept.opened, id];
  render();
};
const togglePin = (id) => {
  if (kept.pins.includes(id)) kept.pins = kept.pins.filter((other) => other !== id);
  else if (kept.pins.length < 2) kept.pins = [...kept.pins, id];
  else {
    announce(word('full'));
    return;
  }
  render();
};
let silence = null;
const announce = (text) => {
  clearTimeout(silence);
  status.textContent = '';
  requestAnimationFrame(() => { status.textContent = text; });
  silence = setTimeout(() => { status.textContent = ''; }, 12000);
};

// ---- Two compared methods beside each other; what is clearly less is said in words

const describeLess = (what, [, less, most], [least, more]) => {
  const overlaps = less >= least && more <= most;
  if (overlaps || more <= 1.05 * less) return '';
  if (!less) return word('nothing', { what });
  const times = more / less;
  const isNear = (number) => Math.abs(times / number - 1) <= 0.1;
  if (isNear(2)) return word('half', { what });
  if (isNear(3)) return word('third', { what });
  if (isNear(4)) return word('quarter', { what });
  if (times > 4.4) return word('part', { what, count: Math.round(times) });
  return word('less', { what, count: Math.round(100 - 100 / times) });
};
const describeWin = (what, first, second) => {
  if (!what || !first || !second) return null;
  if (first[1] <= second[1]) return [describeLess(what, first, second), ''];
  return ['', describeLess(what, second, first)];
};
const makeFigure = (row, id, text) => {
  const cell = row.cells[id];
  const made = make('td');
  made.append(make('b', '', cell.big || cell.plain));
  if (cell.small && id !== 'updated') made.append(make('span', 'small', cell.small));
  if (cell.why) made.append(make('span', 'vh', cell.why));
  if (text) {
    made.className = 'better';
    made.append(make('span', 'verdict', text));
  }
  return made;
};
const makeVersusHeading = (row) => {
  const cell = make('th', '', row.name);
  const remove = makeButton('link', () => {
    togglePin(row.id);
    rows.get(row.id).details.focus();
  });
  cell.scope = 'col';
  remove.textContent = word('unpin');
  remove.dataset.id = row.id;
  remove.setAttribute('aria-label', `${word('unpin')}: ${row.name}`);
  cell.append(remove);
  return cell;
};
const fillVersusLine = (line, pair, { id, head: label, what }) => {
  const title = make('th', '', label);
  title.scope = 'row';
  const win = describeWin(what, ...pair.map((row) => row.raw[id]));
  if (win && !win[0] && !win[1]) title.append(make('span', 'small', word('same')));
  const [first, second] = win || ['', ''];
  line.append(title, makeFigure(pair[0], id, first), makeFigure(pair[1], id, second));
};
const makeVersusTable = (pair) => {
  const table = make('table');
  const top = table.createTHead().insertRow();
  const rest = table.createTBody();
  top.append(make('td'), ...pair.map(makeVersusHeading));
  for (const column of figureColumns()) fillVersusLine(rest.insertRow(), pair, column);
  return table;
};
let drawnVersus = '';
const fillVersus = () => {
  const pinned = kept.pins.map(findRow).filter(Boolean);
  const wanted = JSON.stringify([pinned.map((row) => [row.name, row.cells, row.raw]), shownColumns(), word('versus')]);
  if (drawnVersus === wanted) return;
  drawnVersus = wanted;
  setVisible(versus, pinned.length);
  const focusedId = versus.contains(document.activeElement) && document.activeElement.dataset.id;
  versus.replaceChildren(make('h3', '', word('versus')));
  if (pinned.length === 1) versus.append(make('p', 'small', `${pinned[0].name}. ${word('second')}`));
  if (pinned.length === 2) versus.append(makeVersusTable(pinned));
  if (focusedId) versus.querySelector(`[data-id="${focusedId}"]`)?.focus();
};

// ---- Everything once more; only what differs is touched

const fillSorter = () => {
  const choices = [['', word('standard')]];
  for (const { id, head: column } of shownColumns()) {
    choices.push([`${id} least`, word('least', { column })], [`${id} most`, word('most', { column })]);
  }
  const wanted = JSON.stringify(choices);
  if (sortBy.dataset.drawn !== wanted) {
    sortBy.dataset.drawn = wanted;
    const options = choices.map(([value, text]) => Object.assign(make('option', '', text), { value }));
    sortBy.replaceChildren(...options);
  }
  sortBy.value = kept.by ? `${kept.by} ${kept.down ? 'most' : 'least'}` : '';
};
const fillHeadings = () => {
  for (const [id, cell] of headings) {
    const column = shownColumns().find((shown) => shown.id === id);
    setVisible(cell, column);
    setText(cell, column && column.head);
    if (kept.by === id) setAttribute(cell, 'aria-sort', kept.down ? 'descending' : 'ascending');
    else cell.removeAttribute('aria-sort');
  }
};
const fillRefused = () => {
  const { text, show, hide } = tableValue().refused || {};
  setVisible(refused, text);
  setText(refusedText, text);
  setText(refusedButton, kept.refused ? hide : show);
  setAttribute(refusedButton, 'aria-expanded', kept.refused);
};
const fillFrame = (count) => {
  setAttribute(tools, 'aria-label', word('tools'));
  setText(onlyFits, word('fits'));
  setAttribute(onlyFits, 'aria-pressed', kept.fits);
  setText(exportName, word('export'));
  setText(csv, word('csv'));
  setText(image, word('image'));
  setText(sortName, word('sort'));
  setAttribute(spare, 'aria-label', word('csv'));
  setText(place, tableValue().about);
  setText(pending, tableValue().pending);
  setText(caption, tableValue().caption);
  setText(emptyText, word('none'));
  setText(emptyButton, word('clear'));
  setVisible(empty, !count);
  setVisible(grid, count);
  grid.classList.toggle('with-cost', shownColumns().some(({ id }) => id === 'money'));
  fillHeadings();
  fillSorter();
  fillRefused();
};
const fillRows = (shown) => {
  const shownIds = new Set(shown.map(({ id }) => id));
  for (const row of tableValue().rows) {
    if (!rows.has(row.id)) rows.set(row.id, makeRow(row.id));
    fillRow(rows.get(row.id), row);
    setVisible(rows.get(row.id).row, shownIds.has(row.id));
  }
  shown.forEach(({ id }, index) => {
    const { row } = rows.get(id);
    if (body.children[index] !== row) body.insertBefore(row, body.children[index]);
  });
};
const render = () => {
  if (!stage.isConnected) element.appendChild(stage);
  setVisible(stage, (tableValue().rows || []).length);
  if (stage.hidden) return;
  if (!shownColumns().some(({ id }) => id === kept.by)) kept.by = '';
  const focused = document.activeElement;
  const isFocusVisible = focused && focused.matches(':focus-visible');
  const shown = orderedRows();
  fillRows(shown);
  fillVersus();
  fillFrame(shown.length);
  const lostFocus = focused && focused !== document.activeElement && focused.isConnected;
  if (lostFocus && stage.contains(focused)) focused.focus({ preventScroll: !isFocusVisible });
};

// ---- To take along: a text for a spreadsheet, or a picture

const quoteCell = (cell) => {
  if (cell === null) return '';
  if (typeof cell === 'number') return String(cell);
  const safe = /^[=+\-@\t\r]/.test(cell) ? `'${cell}` : cell;
  return /[",\n]/.test(safe) ? `"${safe.replaceAll('"', '""')}"` : safe;
};
const hideSpare = () => {
  spare.className = 'vh';
  setAttribute(spare, 'aria-hidden', true);
};
const selectSpare = (text) => {
  spare.className = 'costs-spare';
  spare.removeAttribute('aria-hidden');
  spare.value = text;
  spare.focus();
  spare.select();
};
const copySelected = () => {
  try {
    return document.execCommand('copy');
  } catch (error) {
    return false;
  }
};
const copyText = async () => {
  const shown = orderedRows();
  const lines = [tableValue().csv, ...shown.map((row) => row.csv)];
  const text = `${lines.map((line) => line.map(quoteCell).join(',')).join('\r\n')}\r\n`;
  const finish = () => {
    hideSpare();
    announce(word('copied', { count: shown.length }));
  };
  try {
    await navigator.clipboard.writeText(text);
    finish();
    return;
  } catch (error) { /* not permitted, or no secure page */ }
  selectSpare(text);
  if (copySelected()) {
    finish();
    csv.focus();
  } else announce(word('byHand'));
};
const makeBlob = () => new Promise((resolve, reject) => {
  const finish = (blob) => (blob ? resolve(blob) : reject(new Error('no picture')));
  drawPicture().toBlob(finish, 'image/png');
});
const saveBlob = (blob) => {
  const link = make('a');
  const address = URL.createObjectURL(blob);
  link.href = address;
  link.download = 'methods.png';
  link.click();
  setTimeout(() => URL.revokeObjectURL(address), 10000);
  announce(word('saved', { file: link.download }));
};
const copyImage = async () => {
  const blob = makeBlob();
  blob.catch(() => {});
  try {
    await navigator.clipboard.write([new ClipboardItem({ 'image/png': blob })]);
    announce(word('pictured'));
    return;
  } catch (error) { /* saved below */ }
  try {
    saveBlob(await blob);
  } catch (error) {
    announce(word('failed'));
  }
};

// ---- The shown rows as a picture, in the colours of the page: name, figures with their ranges, a bar for the likely one

const PICTURE = { column: 172, name: 250, line: 58, top: 92, edge: 28, gap: 14, scale: 2 };
const pageColour = (name) => getComputedStyle(stage).getPropertyValue(name).trim() || '#888';
const [INK, GREY, GROUND] = ['--body-text-color', '--body-text-color-subdued', '--block-background-fill'];
const columnLeft = (index) => {
  const { edge, name, column } = PICTURE;
  return index ? edge + name + column * (index - 1) : edge;
};
const writer = (pen) => (text, x, y, { size, colour = GREY, weight = 400, room = PICTURE.column - PICTURE.gap }) => {
  pen.font = `${weight} ${size}px ${getComputedStyle(document.body).fontFamily}`;
  pen.fillStyle = pageColour(colour);
  const full = text || '';
  let shown = full;
  while (shown.length > 1 && pen.measureText(shown === full ? shown : `${shown}…`).width > room) shown = shown.slice(0, -1);
  pen.fillText(shown === full ? shown : `${shown}…`, x, y);
};
const drawBar = (pen, [x, y], share, colour) => {
  pen.fillStyle = pageColour(colour);
  pen.fillRect(x, y, (PICTURE.column - 22) * share / 100, 5);
};
const drawFigure = (pen, write, row, { id }, [x, y]) => {
  const cell = row.cells[id];
  const style = cell.big ? { colour: INK, weight: 700 } : {};
  write(cell.big || cell.plain, x, y + 22, { size: 14, ...style });
  write(id === 'updated' ? '' : cell.small, x, y + 38, { size: 11 });
  if (!cell.bar) return;
  drawBar(pen, [x, y + 46], 100, '--line');
  drawBar(pen, [x, y + 46], cell.bar.fill, id === 'memory' && row.fit === 'no' ? '--bad' : '--curve-train');
};
const drawPicture = () => {
  const { column, name, line, top, edge, gap, scale } = PICTURE;
  const [shown, columns] = [orderedRows(), shownColumns()];
  const width = 2 * edge + name + column * (columns.length - 1);
  const height = top + line * shown.length + edge;
  const canvas = make('canvas');
  const pen = canvas.getContext('2d');
  const write = writer(pen);
  canvas.width = scale * width;
  canvas.height = scale * height;
  pen.scale(scale, scale);
  pen.fillStyle = pageColour(GROUND);
  pen.fillRect(0, 0, width, height);
  write(tableValue().caption, edge, 34, { size: 18, colour: INK, weight: 700, room: width - 2 * edge });
  write(tableValue().about, edge, 54, { size: 12, room: width - 2 * edge });
  columns.forEach(({ head: label }, index) => write(label, columnLeft(index), top - 10, { size: 12, weight: 700 }));
  shown.forEach((row, number) => {
    const y = top + line * number;
    pen.fillStyle = pageColour('--line');
    pen.fillRect(edge, y, width - 2 * edge, 1);
    write(row.name, edge, y + 24, { size: 14, colour: INK, weight: 700, room: name - gap });
    write(row.badge || row.lacks || row.refused, edge, y + 42, { size: 11, room: name - gap });
    columns.slice(1).forEach((shownColumn, index) => drawFigure(pen, write, row, shownColumn, [columnLeft(index + 1), y]));
  });
  return canvas;
};

render();
watch('value', render);
