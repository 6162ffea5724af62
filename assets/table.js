// The comparison table, drawn from its value: a row keeps its elements by its id, so that bars glide and focus stays. What the person
// sorted, filtered, pinned and opened is kept here and outlives every update. Texts go in as text only, never as HTML.
const FIGURES = ['updated', 'memory', 'time', 'money', 'disk', 'energy'];
const kept = (window.studioTable ||= { by: '', down: false, fits: false, data: false, pins: [], opened: [] });
const make = (name, className, text) => { const made = document.createElement(name); if (className) made.className = className; if (text != null) made.textContent = text; return made; };
const put = (node, text) => { if (node.textContent !== (text || '')) node.textContent = text || ''; return node; };
const mark = (node, name, value) => { if (node.getAttribute(name) !== String(value)) node.setAttribute(name, value); };
const show = (node, yes) => { if (node.hidden === Boolean(yes)) node.hidden = !yes; };
const fill = (text, values) => Object.entries(values).reduce((said, [name, value]) => said.replace(`{${name}}`, value), text || '');
const button = (className, act) => { const made = make('button', className); made.type = 'button'; made.addEventListener('click', act); return made; };
const told = () => props.value || {};
const word = (name, values = {}) => fill((told().words || {})[name], values);
const rowOf = (id) => told().rows.find((row) => row.id === id);
const heads = () => told().columns;

// The frame around the rows, once.
const stage = make('section', 'costs');
const tools = make('div', 'costs-tools'), about = make('p', 'costs-about'), place = make('span'), pending = make('span', 'costs-pending');
const onlyFits = button('toggle', () => toggle('fits')), onlyData = button('toggle', () => toggle('data'));
const sorter = make('label', 'costs-sort'), sortName = make('span'), sortBy = make('select');
const csv = button('quiet', () => copyText()), image = button('quiet', () => copyImage());
const said = make('p', 'costs-said'), spare = make('textarea', 'vh'), versus = make('section', 'versus');
const grid = make('table', 'methods'), caption = make('caption', 'vh'), head = make('thead'), headRow = make('tr'), body = make('tbody');
const empty = make('p', 'costs-none'), emptyText = make('span'), emptyClear = button('quiet', () => { kept.fits = kept.data = false; render(); onlyFits.focus(); });
tools.setAttribute('role', 'group');
said.setAttribute('role', 'status');
spare.readOnly = true; spare.tabIndex = -1; spare.setAttribute('aria-hidden', 'true');
for (const [node, role] of [[grid, 'table'], [head, 'rowgroup'], [body, 'rowgroup'], [headRow, 'row']]) node.setAttribute('role', role);
sorter.append(sortName, sortBy); tools.append(onlyFits, onlyData, sorter, csv, image); about.append(place, pending);
head.append(headRow); grid.append(caption, head, body); empty.append(emptyText, emptyClear);
stage.append(tools, said, spare, versus, about, grid, empty);
sortBy.addEventListener('change', () => { [kept.by, kept.down] = [sortBy.value.split(' ')[0], sortBy.value.endsWith('most')]; render(); });
const columns = new Map(['method', ...FIGURES].map((id) => {
  const cell = make('th'), sort = button('sort', () => {
    [kept.by, kept.down] = kept.by !== id ? [id, false] : kept.down ? ['', false] : [id, true];
    render();
  }), name = make('span'), arrow = make('i');
  cell.scope = 'col'; cell.setAttribute('role', 'columnheader'); cell.dataset.column = id; arrow.setAttribute('aria-hidden', 'true');
  sort.append(name, arrow); cell.append(sort); headRow.append(cell);
  return [id, { cell, name, arrow }];
}));

// One row: its elements once, its texts at every update.
const rows = new Map();
const makeCell = (id) => {
  const cell = make('td', id), line = make('span', 'figure'), state = make('span', 'state'), big = make('b'), plain = make('span', 'plain'), why = make('span', 'vh');
  const gauge = make('span', 'gauge'), high = make('i', 'high'), likely = make('i', 'likely'), end = make('i', 'end'), small = make('span', 'small'), note = make('span', 'small');
  cell.setAttribute('role', 'cell'); gauge.setAttribute('aria-hidden', 'true');
  line.append(state, big, plain, why); gauge.append(high, likely, end); cell.append(line, small, gauge, note);
  return { cell, state, big, plain, why, small, gauge, high, likely, end, note };
};
const makeRow = (id) => {
  const row = make('tr'), title = make('th'), pick = button('pick', () => trigger('pick', { id })), name = make('span', 'name'), badge = make('span', 'badge'), below = make('a', 'below');
  const short = make('span', 'small'), least = make('span', 'least'), refused = make('span', 'refused'), acts = make('span', 'acts');
  const details = button('quiet details', () => { kept.opened = kept.opened.includes(id) ? kept.opened.filter((one) => one !== id) : [...kept.opened, id]; render(); });
  const pin = button('quiet pin', () => togglePin(id)), lack = make('td', 'lack'), lacks = make('span', 'lacks'), remedies = make('span', 'small'), offers = make('div', 'offers'), more = make('td', 'more');
  row.dataset.id = id; title.scope = 'row'; below.href = `#knobs-${id}`; name.id = `method-${id}`; more.id = `more-${id}`;
  for (const [node, role] of [[row, 'row'], [title, 'rowheader'], [lack, 'cell'], [more, 'cell']]) node.setAttribute('role', role);
  for (const node of [details, pin]) node.setAttribute('aria-describedby', name.id);
  details.setAttribute('aria-controls', more.id);
  const cells = new Map(FIGURES.map((column) => [column, makeCell(column)]));
  acts.append(details, pin); title.append(name, badge, below, short, least, refused, acts); lack.append(lacks, remedies, offers);
  row.append(title, ...[...cells.values()].map(({ cell }) => cell), lack, more);
  row.addEventListener('click', (event) => { if (rowOf(id).open && !event.target.closest('button, a, .more') && !String(getSelection())) trigger('pick', { id }); });
  body.append(row);
  return { row, pick, name, badge, below, short, least, refused, details, pin, lack, lacks, remedies, offers, more, cells, offered: '', read: '' };
};
const width = (node, percent) => { const wanted = `${percent || 0}%`; if (node.style.width !== wanted) node.style.width = wanted; };
const fillCell = (parts, cell, label) => {
  mark(parts.cell, 'data-head', label);
  put(parts.big, cell.big); put(parts.plain, cell.plain); put(parts.state, cell.state); put(parts.small, cell.small); put(parts.note, cell.note);
  put(parts.why, cell.why); if (cell.why) mark(parts.cell, 'title', cell.why); else parts.cell.removeAttribute('title');
  show(parts.gauge, cell.bar);
  width(parts.high, cell.bar && cell.bar.high); width(parts.likely, cell.bar && cell.bar.fill);
  parts.gauge.classList.toggle('over', Boolean(cell.bar && cell.bar.over));
  const end = cell.bar && cell.bar.mark; show(parts.end, end);
  if (end) parts.end.style.left = `${end}%`;
};
const fillOffers = (parts, row) => {
  const wanted = JSON.stringify(row.offers);
  if (parts.offered === wanted) return;
  parts.offered = wanted;
  row.offers.forEach((offer, number) => {
    const made = parts.offers.children[number] || parts.offers.appendChild(button('offer', () => trigger('remedy', { id: row.id, number })));
    if (!made.firstChild) { made.append(make('b'), ' ', make('span')); made.setAttribute('aria-describedby', parts.name.id); }
    put(made.firstChild, offer.label); put(made.lastChild, offer.figures);
  });
  while (parts.offers.children.length > row.offers.length) parts.offers.lastChild.remove();
};
const entry = ({ head: title, text, steps, pairs }) => {
  const made = make('div', 'entry');
  made.append(make('h4', '', title));
  if (text) made.append(make('p', '', text));
  if (steps) { const list = make('ol'); list.append(...steps.map((step) => make('li', '', step))); made.append(list); }
  if (pairs) { const list = make('dl'); for (const [name, amount] of pairs) list.append(make('dt', '', name), make('dd', '', amount)); made.append(list); }
  return made;
};
const fillMore = (parts, row, open) => {
  show(parts.more, open); mark(parts.details, 'aria-expanded', open);
  const wanted = open ? JSON.stringify(row.more) : '';
  if (parts.read === wanted) return;
  parts.read = wanted; parts.more.replaceChildren(...(open ? row.more.map(entry) : []));
};
const fillRow = (parts, row) => {
  const pinned = kept.pins.includes(row.id), open = kept.opened.includes(row.id), name = `${row.kind} fits-${row.fit}${pinned ? ' pinned' : ''}`;
  if (parts.row.className !== name) parts.row.className = name;
  if (row.open) { put(parts.pick, row.name); mark(parts.pick, 'aria-pressed', row.kind === 'chosen'); if (parts.pick.parentNode !== parts.name) parts.name.replaceChildren(parts.pick); }
  else if (parts.name.firstElementChild || parts.name.textContent !== row.name) parts.name.textContent = row.name;
  put(parts.badge, row.badge); show(parts.badge, row.badge); put(parts.below, row.settings); show(parts.below, row.settings); put(parts.short, row.short); put(parts.least, row.least); show(parts.least, row.least); parts.least.classList.toggle('scarce', Boolean(row.scarce));
  put(parts.refused, row.refused); show(parts.refused, row.refused); put(parts.details, word('details')); put(parts.pin, word('pin')); mark(parts.pin, 'aria-pressed', pinned);
  for (const { id, head: label } of heads()) if (id !== 'method') fillCell(parts.cells.get(id), row.cells[id], label);
  for (const [id, { cell }] of parts.cells) show(cell, heads().some((column) => column.id === id));
  put(parts.lacks, row.lacks); show(parts.lacks, row.lacks); put(parts.remedies, row.remedies); show(parts.remedies, row.remedies);
  show(parts.lack, row.lacks || row.offers.length); fillOffers(parts, row); fillMore(parts, row, open);
};

// What is shown, and in which order: pinned rows first, unknown figures last whichever way it goes.
const kin = (row) => kept.by === 'method' ? row.name : row.raw[kept.by] ? row.raw[kept.by][1] : null;
const compare = (one, other) => {
  const [a, b] = [kin(one), kin(other)];
  if (a === null || b === null) return (a === null) - (b === null);
  return (typeof a === 'string' ? a.localeCompare(b) : a - b) * (kept.down ? -1 : 1);
};
const order = () => {
  const found = told().rows.filter((row) => (!kept.fits || row.fit === 'yes' || row.fit === 'tight') && (!kept.data || !(row.refused || row.scarce)));
  if (kept.by) found.sort(compare);
  return found.sort((one, other) => kept.pins.includes(other.id) - kept.pins.includes(one.id));
};
const toggle = (name) => { kept[name] = !kept[name]; render(); say(word('shown', { count: order().length, all: told().rows.length })); };
const togglePin = (id) => {
  if (kept.pins.includes(id)) kept.pins = kept.pins.filter((one) => one !== id);
  else if (kept.pins.length < 2) kept.pins = [...kept.pins, id];
  else { say(word('full')); return; }
  render();
};
let quiet = null;
const say = (text) => { clearTimeout(quiet); said.textContent = ''; requestAnimationFrame(() => { said.textContent = text; }); quiet = setTimeout(() => { said.textContent = ''; }, 12000); };

// Two pinned methods beside each other; what is clearly less is said in words.
const verdict = (what, [, less, most], [least, more]) => {
  if ((less >= least && more <= most) || more <= 1.05 * less) return '';
  if (!less) return word('nothing', { what });
  const times = more / less, near = (number) => Math.abs(times / number - 1) <= 0.1;
  const name = near(2) ? 'half' : near(3) ? 'third' : near(4) ? 'quarter' : times > 4.4 ? 'part' : 'less';
  return word(name, { what, count: name === 'part' ? Math.round(times) : Math.round(100 - 100 / times) });
};
const figure = (row, id, text) => {
  const cell = row.cells[id], made = make('td');
  made.append(make('b', '', cell.big || cell.plain));
  if (cell.small && id !== 'updated') made.append(make('span', 'small', cell.small));
  if (cell.why) made.append(make('span', 'vh', cell.why));
  if (text) { made.className = 'better'; made.append(make('span', 'verdict', text)); }
  return made;
};
let compared = '';
const fillVersus = () => {
  const found = kept.pins.map(rowOf).filter(Boolean), wanted = JSON.stringify([found.map((row) => [row.name, row.cells, row.raw]), heads(), word('versus')]);
  if (compared === wanted) return;
  compared = wanted; show(versus, found.length);
  const held = versus.contains(document.activeElement) && document.activeElement.dataset.id;
  versus.replaceChildren(make('h4', '', word('versus')));
  if (found.length === 1) versus.append(make('p', 'small', `${found[0].name}. ${word('second')}`));
  if (found.length === 2) {
    const table = make('table'), top = table.createTHead().insertRow(), rest = table.createTBody();
    top.append(make('td'));
    for (const row of found) {
      const cell = make('th', '', row.name), off = button('quiet', () => { togglePin(row.id); rows.get(row.id).pin.focus(); });
      cell.scope = 'col'; off.textContent = word('unpin'); off.dataset.id = row.id; off.setAttribute('aria-label', `${word('unpin')}: ${row.name}`); cell.append(off); top.append(cell);
    }
    for (const { id, head: label, what } of heads()) {
      if (id === 'method') continue;
      const [a, b] = found.map((row) => row.raw[id]), line = rest.insertRow(), title = make('th', '', label);
      const win = what && a && b ? (a[1] <= b[1] ? [verdict(what, a, b), ''] : ['', verdict(what, b, a)]) : ['', ''];
      if (what && a && b && !win[0] && !win[1]) title.append(make('span', 'small', word('same')));
      title.scope = 'row'; line.append(title, figure(found[0], id, win[0]), figure(found[1], id, win[1]));
    }
    versus.append(table);
  }
  if (held) versus.querySelector(`[data-id="${held}"]`)?.focus();
};

// Everything once more; only what differs is touched.
const fillFrame = (count) => {
  mark(tools, 'aria-label', word('tools')); put(onlyFits, word('fits')); put(onlyData, word('data')); put(csv, word('csv')); put(image, word('image')); put(sortName, word('sort'));
  mark(onlyFits, 'aria-pressed', kept.fits); mark(onlyData, 'aria-pressed', kept.data); mark(spare, 'aria-label', word('csv'));
  put(place, told().about); put(pending, told().pending || ''); put(caption, [told().caption, told().about].filter(Boolean).join('. '));
  put(emptyText, word('none')); put(emptyClear, word('clear')); show(empty, !count); show(grid, count);
  grid.classList.toggle('with-energy', heads().some(({ id }) => id === 'energy'));
  for (const [id, { cell, name, arrow }] of columns) {
    const found = heads().find((column) => column.id === id);
    show(cell, found); put(name, found && found.head); put(arrow, kept.by === id ? (kept.down ? '↓' : '↑') : '');
    if (kept.by === id) mark(cell, 'aria-sort', kept.down ? 'descending' : 'ascending'); else cell.removeAttribute('aria-sort');
  }
  const choices = [['', word('article')], ...heads().flatMap(({ id, head: column }) => ['least', 'most'].map((way) => [`${id} ${way}`, word(way, { column })]))];
  const wanted = JSON.stringify(choices);
  if (sortBy.dataset.said !== wanted) { sortBy.dataset.said = wanted; sortBy.replaceChildren(...choices.map(([name, text]) => Object.assign(make('option', '', text), { value: name }))); }
  sortBy.value = kept.by ? `${kept.by} ${kept.down ? 'most' : 'least'}` : '';
};
const render = () => {
  if (!stage.isConnected) element.appendChild(stage);
  show(stage, (told().rows || []).length);
  if (stage.hidden) return;
  if (!heads().some(({ id }) => id === kept.by)) kept.by = '';
  const active = document.activeElement, visible = active && active.matches(':focus-visible'), found = order(), names = new Set(found.map(({ id }) => id));
  for (const row of told().rows) { if (!rows.has(row.id)) rows.set(row.id, makeRow(row.id)); fillRow(rows.get(row.id), row); show(rows.get(row.id).row, names.has(row.id)); }
  found.forEach(({ id }, at) => { const { row } = rows.get(id); if (body.children[at] !== row) body.insertBefore(row, body.children[at]); });
  fillVersus(); fillFrame(found.length);
  if (active && active !== document.activeElement && active.isConnected && stage.contains(active)) active.focus({ preventScroll: !visible });
};

// To take along: a text for a spreadsheet, or a picture.
const quoted = (cell) => {
  if (cell === null || typeof cell === 'number') return cell === null ? '' : String(cell);
  const safe = /^[=+\-@\t\r]/.test(cell) ? `'${cell}` : cell;
  return /[",\n]/.test(safe) ? `"${safe.replaceAll('"', '""')}"` : safe;
};
const copyText = async () => {
  const found = order(), text = [told().csv, ...found.map((row) => row.csv)].map((line) => line.map(quoted).join(',')).join('\r\n') + '\r\n';
  const done = () => { spare.className = 'vh'; mark(spare, 'aria-hidden', true); say(word('copied', { count: found.length })); };
  try { await navigator.clipboard.writeText(text); done(); return; } catch (error) { /* not permitted, or no secure page */ }
  spare.className = 'costs-spare'; spare.removeAttribute('aria-hidden'); spare.value = text; spare.focus(); spare.select();
  let copied = false;
  try { copied = document.execCommand('copy'); } catch (error) { /* said below */ }
  if (copied) { done(); csv.focus(); } else say(word('byHand'));
};
const copyImage = async () => {
  try {
    const blob = new Promise((found, failed) => picture().toBlob((made) => made ? found(made) : failed(new Error('no picture')), 'image/png'));
    blob.catch(() => {});
    try { await navigator.clipboard.write([new ClipboardItem({ 'image/png': blob })]); say(word('pictured')); return; } catch (error) { /* saved below */ }
    const link = make('a'), address = URL.createObjectURL(await blob);
    link.href = address; link.download = 'methods.png'; link.click(); setTimeout(() => URL.revokeObjectURL(address), 10000);
    say(word('saved', { file: link.download }));
  } catch (error) { say(word('failed')); }
};
// The shown rows as a picture, in the colours of the page: name, figures with their ranges, and a bar for the likely one.
const picture = () => {
  const found = order(), shown = heads(), colour = (name) => getComputedStyle(stage).getPropertyValue(name).trim() || '#888';
  const [wide, first, line, top, edge] = [172, 250, 58, 92, 28], width = 2 * edge + first + wide * (shown.length - 1), height = top + line * found.length + edge;
  const canvas = make('canvas'), pen = canvas.getContext('2d'), family = getComputedStyle(document.body).fontFamily;
  canvas.width = 2 * width; canvas.height = 2 * height; pen.scale(2, 2);
  const text = (said, x, y, size, name, weight = 400, room = wide - 14) => {
    pen.font = `${weight} ${size}px ${family}`; pen.fillStyle = colour(name);
    let kept = said || '';
    while (kept.length > 1 && pen.measureText(kept === said ? kept : `${kept}…`).width > room) kept = kept.slice(0, -1);
    pen.fillText(kept === (said || '') ? kept : `${kept}…`, x, y);
  };
  const bar = (x, y, share, name) => { pen.fillStyle = colour(name); pen.fillRect(x, y, (wide - 22) * share / 100, 5); };
  pen.fillStyle = colour('--block-background-fill'); pen.fillRect(0, 0, width, height);
  text(told().caption, edge, 34, 18, '--body-text-color', 700, width - 2 * edge);
  text(told().about, edge, 54, 12, '--body-text-color-subdued', 400, width - 2 * edge);
  const left = (column) => (column ? edge + first + wide * (column - 1) : edge);
  shown.forEach(({ head: label }, column) => text(label, left(column), top - 10, 12, '--body-text-color-subdued', 700, column ? wide - 14 : first - 14));
  found.forEach((row, number) => {
    const y = top + line * number;
    pen.fillStyle = colour('--line'); pen.fillRect(edge, y, width - 2 * edge, 1);
    text(row.name, edge, y + 24, 14, '--body-text-color', 700, first - 14); text(row.badge || row.lacks || row.refused, edge, y + 42, 11, '--body-text-color-subdued', 400, first - 14);
    shown.slice(1).forEach(({ id }, column) => {
      const cell = row.cells[id], x = left(column + 1);
      text(cell.big || cell.plain, x, y + 22, 14, cell.big ? '--body-text-color' : '--body-text-color-subdued', cell.big ? 700 : 400); text(id === 'updated' ? '' : cell.small, x, y + 38, 11, '--body-text-color-subdued');
      if (cell.bar) { bar(x, y + 46, 100, '--line'); bar(x, y + 46, cell.bar.fill, id === 'memory' && row.fit === 'no' ? '--bad' : '--curve-train'); }
    });
  });
  return canvas;
};

render();
watch('value', render);
