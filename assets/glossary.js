// The glossary: a dialog that opens with each new value, and a search over names and meanings.
// Texts go in as text only, never as HTML.
const normalize = (text) => text.normalize('NFKC').toLowerCase().trim();

// ---- The dialog

const title = createElement('h2', '');
const closeButton = createElement('button', 'help-quiet');
const label = createElement('label', '');
const search = createElement('input', '');
const count = createElement('p', 'glossary-count');
const list = createElement('dl', '');
const frame = createElement('div', 'glossary-terms', list);
const header = createElement('header', '', title, closeButton);
const field = createElement('div', 'glossary-search', label, search, count);
const dialog = createElement('dialog', 'glossary', header, field, frame);
title.id = 'glossary-title';
closeButton.type = 'button';
search.id = 'glossary-search';
search.type = 'text';
search.autocomplete = 'off';
search.setAttribute('role', 'searchbox');
label.htmlFor = search.id;
count.setAttribute('role', 'status');
frame.tabIndex = 0;
frame.setAttribute('role', 'region');
frame.setAttribute('aria-labelledby', title.id);
dialog.setAttribute('aria-labelledby', title.id);
element.appendChild(dialog);

// ---- The terms

let entries = [];

function createEntry(term) {
  const exact = createElement('dd', 'exactly', createElement('b', '', getWord('exact')), ' ', term.exact);
  const name = createElement('dt', '', term.name);
  const plain = createElement('dd', '', term.plain);
  return {
    node: createElement('div', '', name, plain, exact),
    name: normalize(`${term.name} ${term.also}`),
    text: normalize(`${term.name} ${term.also} ${term.plain} ${term.exact}`),
  };
}

function draw() {
  title.textContent = getWord('title');
  closeButton.textContent = getWord('close');
  label.textContent = getWord('search');
  entries = props.value.terms.map(createEntry);
}

function chooseCount(wanted, found) {
  if (!wanted) return 'count';
  return found.length ? 'found' : 'none';
}

// Those whose name holds the text come first, then those that speak of it.
function find() {
  const wanted = normalize(search.value);
  const found = entries.filter((entry) => entry.text.includes(wanted));
  found.sort((first, second) => second.name.includes(wanted) - first.name.includes(wanted));
  list.replaceChildren(...found.map((entry) => entry.node));
  list.hidden = !found.length;
  frame.scrollTop = 0;
  const values = { count: entries.length, found: found.length, text: search.value.trim() };
  count.textContent = getWord(chooseCount(wanted, found), values);
}

function goToTerms(event) {
  if (event.key !== 'ArrowDown') return;
  event.preventDefault();
  frame.focus();
}

function closeWhenPressedBeside(event) {
  if (event.target === dialog) dialog.close();
}

function open() {
  if (!props.value?.terms?.length) return;
  search.value = '';
  draw();
  find();
  if (!dialog.open) dialog.showModal();
  search.focus();
}

search.addEventListener('input', find);
search.addEventListener('keydown', goToTerms);
closeButton.addEventListener('click', () => dialog.close());
dialog.addEventListener('click', closeWhenPressedBeside);
watch('value', open);
