// The glossary: a dialog that opens with each new value, and a search over names and meanings. Texts go in as text only, never as HTML.
const make = (name, className, text) => { const made = document.createElement(name); if (className) made.className = className; if (text != null) made.textContent = text; return made; };
const fill = (text, values) => Object.entries(values).reduce((said, [name, value]) => said.replace(`{${name}}`, () => value), text || '');
const told = () => props.value || {};
const word = (name, values = {}) => fill((told().words || {})[name], values);
const plain = (text) => text.normalize('NFKC').toLowerCase().trim();

const box = make('dialog', 'glossary'), title = make('h2'), close = make('button', 'help-quiet'), search = make('input'), name = make('label');
const count = make('p', 'glossary-count'), list = make('dl'), frame = make('div', 'glossary-terms'), head = make('header'), field = make('div', 'glossary-search');
title.id = 'glossary-title'; search.id = 'glossary-search'; name.htmlFor = search.id;
box.setAttribute('aria-labelledby', title.id);
close.type = 'button'; search.type = 'text'; search.setAttribute('role', 'searchbox'); search.autocomplete = 'off';
count.setAttribute('role', 'status');
frame.tabIndex = 0; frame.setAttribute('role', 'region'); frame.setAttribute('aria-labelledby', title.id);
head.append(title, close); field.append(name, search, count); frame.append(list); box.append(head, field, frame);
element.appendChild(box);

let entries = [];
const draw = () => {
  title.textContent = word('title'); close.textContent = word('close'); name.textContent = word('search');
  entries = told().terms.map((term) => {
    const node = make('div'), exact = make('dd', 'exactly');
    exact.append(make('b', '', word('exact')), ' ', term.exact);
    node.append(make('dt', '', term.name), make('dd', '', term.plain), exact);
    return { node, name: plain(`${term.name} ${term.also}`), all: plain(`${term.name} ${term.also} ${term.plain} ${term.exact}`) };
  });
};
// Those whose name holds the text come first, then those that speak of it.
const find = () => {
  const wanted = plain(search.value), found = entries.filter((entry) => entry.all.includes(wanted));
  found.sort((one, other) => other.name.includes(wanted) - one.name.includes(wanted));
  list.replaceChildren(...found.map((entry) => entry.node));
  list.hidden = !found.length; frame.scrollTop = 0;
  const values = { count: entries.length, found: found.length, text: search.value.trim() };
  count.textContent = word(!wanted ? 'count' : found.length ? 'found' : 'none', values);
};
search.addEventListener('input', find);
search.addEventListener('keydown', (event) => { if (event.key === 'ArrowDown') { event.preventDefault(); frame.focus(); } });
close.addEventListener('click', () => box.close());
box.addEventListener('click', (event) => { if (event.target === box) box.close(); });  // beside it
const open = () => {
  if (!(told().terms || []).length) return;
  search.value = ''; draw(); find();
  if (!box.open) box.showModal();
  search.focus();
};
watch('value', open);
