// A blind vote: one question, two answers without names, four buttons and the keys 1 to 4. The same on a page of its own and in the Playground.
const CHOICES = ['left', 'right', 'tie', 'bad'];
function mountVote(root) {
  const make = (tag, className, text) => { const made = document.createElement(tag); if (className) made.className = className; if (text != null) made.textContent = text; return made; };
  const box = make('section', 'vote'), status = make('p', 'vote-status'), stage = make('div'), result = make('div', 'vote-result');
  status.setAttribute('role', 'status'); result.setAttribute('aria-live', 'polite');
  box.append(status, stage, result); root.appendChild(box);
  let token = '', texts = {}, voter = '', passcode = '', shown = null, before = null, busy = false;
  const storeKey = () => `studio-vote-${token}`;
  const remember = () => { try { localStorage.setItem(storeKey(), voter); } catch { /* private windows may forbid it: the voter is new after a reload */ } };
  const recall = () => { try { return localStorage.getItem(storeKey()) || ''; } catch { return ''; } };
  const fill = (text, values) => text.replace(/\{(\w+)\}/g, (_, name) => values[name]);

  const ask = async (path, more = {}) => {
    if (busy) return null;
    busy = true; box.setAttribute('aria-busy', 'true');
    try {
      const reply = await fetch(`/vote/${token}/${path}`, { method: 'POST', headers: { 'content-type': 'application/json' }, body: JSON.stringify({ voter, passcode, ...more }) });
      if (reply.status === 401) { askPasscode(Boolean(passcode)); return null; }
      const found = await reply.json();
      if (!reply.ok) { status.textContent = found.error; return null; }
      return found;
    } catch { status.textContent = texts.offline; return null; } finally { busy = false; box.removeAttribute('aria-busy'); }
  };

  const askPasscode = (wrong) => {
    const form = make('form', 'vote-passcode'), name = make('label', '', texts.passcode), field = make('input'), send = make('button', '', texts.enter);
    field.type = 'password'; field.autocomplete = 'off'; field.maxLength = 100; name.append(field); form.append(name, send);
    form.onsubmit = (event) => { event.preventDefault(); passcode = field.value; next(); };
    stage.replaceChildren(form); status.textContent = wrong ? texts.wrong : ''; field.focus();
  };

  const button = (text, className, action) => { const made = make('button', className, text); made.type = 'button'; made.onclick = action; return made; };
  const show = (found, focus) => {
    shown = found;
    status.textContent = fill(texts.progress, { done: found.done, total: found.total });
    const bar = make('progress', 'vote-bar'); bar.max = found.total; bar.value = found.done; bar.setAttribute('aria-label', texts.progressLabel);
    const tools = make('div', 'vote-tools');
    if (before) tools.append(button(texts.back, 'vote-quiet', () => { const earlier = before; before = null; show(earlier, true); }));
    if (found.done || !found.question) tools.append(button(texts.result, 'vote-quiet', showResult));
    if (!found.question) {
      const thanks = make('h4', '', texts.thanks); thanks.tabIndex = -1;
      stage.replaceChildren(bar, thanks, tools); if (focus) thanks.focus();
      return;
    }
    const heading = make('h4', 'vote-question'), label = make('span', 'vote-label', texts.question), panes = make('div', 'vote-panes'), keys = make('div', 'vote-keys');
    heading.tabIndex = -1; heading.append(label, make('span', 'vote-text', found.question.prompt));
    for (const side of ['left', 'right']) {
      const pane = make('article', 'vote-pane'); pane.append(make('h5', '', texts[`${side}Title`]), make('div', 'vote-text', found.question[side] || texts.empty));
      panes.append(pane);
    }
    keys.setAttribute('role', 'group'); keys.setAttribute('aria-label', texts.choices);
    CHOICES.forEach((choice, index) => {
      const made = button('', 'vote-choice', () => cast(choice)); made.setAttribute('aria-keyshortcuts', String(index + 1));
      const key = make('kbd', '', String(index + 1)); key.setAttribute('aria-hidden', 'true');
      made.append(key, make('span', '', texts[choice])); keys.append(made);
    });
    stage.replaceChildren(bar, heading, panes, keys, make('p', 'vote-hint', texts.hint), tools);
    if (focus) heading.focus();
  };

  const next = async (focus = true) => { const found = await ask('next'); if (found) { voter = found.voter; remember(); show(found, focus); } };
  const cast = async (choice) => {
    if (!shown || !shown.question) return;
    const voted = shown, found = await ask('cast', { question: voted.question.number, choice });
    if (found) { before = voted; result.replaceChildren(); show(found, true); }
  };
  const showResult = async () => {
    const found = await ask('result');
    if (!found) return;
    const heading = make('h4', '', texts.resultTitle); heading.tabIndex = -1;
    result.replaceChildren(heading, ...found.sentences.map((sentence, index) => make('p', index ? '' : 'vote-verdict', sentence)));
    heading.focus();
  };

  document.addEventListener('keydown', (event) => {
    if (!root.isConnected || !box.offsetParent || event.ctrlKey || event.metaKey || event.altKey || event.repeat) return;
    if (/^(INPUT|TEXTAREA|SELECT)$/.test(event.target.tagName) || event.target.isContentEditable) return;
    const choice = CHOICES[Number(event.key) - 1];
    if (choice) { event.preventDefault(); cast(choice); }
  });

  return {
    open(value) {
      if (!value || value.token === token) return;
      token = value.token || ''; texts = value.texts || {}; shown = before = null; passcode = ''; voter = token ? recall() : '';
      stage.replaceChildren(); result.replaceChildren(); status.textContent = '';
      if (token) next(Boolean(value.focus));
    },
  };
}
