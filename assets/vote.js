// A blind vote: one question, two answers without names, four buttons and the keys 1 to 4. The same on a page of
// its own and in the Playground.
const CHOICES = ['left', 'right', 'tie', 'bad'];

function mountVote(root) {
  let token = '';
  let texts = {};
  let level = 3;
  let voter = '';
  let passcode = '';
  let shown = null;
  let before = null;
  let busy = false;

  function make(tag, className, text) {
    const created = document.createElement(tag);
    if (className) created.className = className;
    if (text != null) created.textContent = text;
    return created;
  }

  function makeButton(text, className, action) {
    const button = make('button', className, text);
    button.type = 'button';
    button.onclick = action;
    return button;
  }

  const box = make('section', 'vote');
  const status = make('p', 'vote-status');
  const stage = make('div');
  const result = make('div', 'vote-result');
  status.setAttribute('role', 'status');
  result.setAttribute('aria-live', 'polite');
  box.append(status, stage, result);
  root.appendChild(box);

  // Private windows may forbid storage: the voter is new after a reload then.
  function remember() {
    try {
      localStorage.setItem(`studio-vote-${token}`, voter);
    } catch { /* nothing is remembered */ }
  }

  function recall() {
    try {
      return localStorage.getItem(`studio-vote-${token}`) || '';
    } catch {
      return '';
    }
  }

  function fill(text, values) {
    return text.replace(/\{(\w+)\}/g, (_, name) => values[name]);
  }

  async function ask(path, more = {}) {
    if (busy) return null;
    busy = true;
    box.setAttribute('aria-busy', 'true');
    try {
      const reply = await fetch(`/vote/${token}/${path}`, {
        method: 'POST',
        headers: { 'content-type': 'application/json' },
        body: JSON.stringify({ voter, passcode, ...more }),
      });
      if (reply.status === 401) {
        askPasscode(Boolean(passcode));
        return null;
      }
      const answer = await reply.json();
      if (reply.ok) return answer;
      status.textContent = answer.error;
      return null;
    } catch {
      status.textContent = texts.offline;
      return null;
    } finally {
      busy = false;
      box.removeAttribute('aria-busy');
    }
  }

  function askPasscode(isWrong) {
    const form = make('form', 'vote-passcode');
    const name = make('label', '', texts.passcode);
    const field = make('input');
    field.type = 'password';
    field.autocomplete = 'off';
    field.maxLength = 100;
    name.append(field);
    form.append(name, make('button', '', texts.enter));
    form.onsubmit = (event) => {
      event.preventDefault();
      passcode = field.value;
      next();
    };
    stage.replaceChildren(form);
    status.textContent = isWrong ? texts.wrong : '';
    field.focus();
  }

  function makeBar(answer) {
    const bar = make('progress', 'vote-bar');
    bar.max = answer.total;
    bar.value = answer.done;
    bar.setAttribute('aria-label', texts.progressLabel);
    return bar;
  }

  function makeTools(answer) {
    const tools = make('div', 'vote-tools');
    if (before) tools.append(makeButton(texts.back, 'vote-quiet', goBack));
    if (answer.done || !answer.question) tools.append(makeButton(texts.result, 'vote-quiet', showResult));
    return tools;
  }

  function goBack() {
    const earlier = before;
    before = null;
    show(earlier, true);
  }

  function makeHeading(question) {
    const heading = make(`h${level}`, 'vote-question');
    heading.tabIndex = -1;
    heading.append(make('span', 'vote-label', texts.question), make('span', 'vote-text', question.prompt));
    return heading;
  }

  function makePanes(question) {
    const panes = make('div', 'vote-panes');
    for (const side of ['left', 'right']) {
      const pane = make('article', 'vote-pane');
      const title = make(`h${level + 1}`, '', texts[`${side}Title`]);
      pane.append(title, make('div', 'vote-text', question[side] || texts.empty));
      panes.append(pane);
    }
    return panes;
  }

  function makeKeys() {
    const keys = make('div', 'vote-keys');
    keys.setAttribute('role', 'group');
    keys.setAttribute('aria-label', texts.choices);
    CHOICES.forEach((choice, index) => {
      const button = makeButton('', 'vote-choice', () => cast(choice));
      const key = make('kbd', '', String(index + 1));
      key.setAttribute('aria-hidden', 'true');
      button.setAttribute('aria-keyshortcuts', String(index + 1));
      button.append(key, make('span', '', texts[choice]));
      keys.append(button);
    });
    return keys;
  }

  function show(answer, takesFocus) {
    shown = answer;
    status.textContent = fill(texts.progress, { done: answer.done, total: answer.total });
    const bar = makeBar(answer);
    const tools = makeTools(answer);
    if (!answer.question) {
      const thanks = make(`h${level}`, '', texts.thanks);
      thanks.tabIndex = -1;
      stage.replaceChildren(bar, thanks, tools);
      if (takesFocus) thanks.focus();
      return;
    }
    const heading = makeHeading(answer.question);
    const hint = make('p', 'vote-hint', texts.hint);
    stage.replaceChildren(bar, heading, makePanes(answer.question), makeKeys(), hint, tools);
    if (takesFocus) heading.focus();
  }

  async function next(takesFocus = true) {
    const answer = await ask('next');
    if (!answer) return;
    voter = answer.voter;
    remember();
    show(answer, takesFocus);
  }

  async function cast(choice) {
    if (!shown || !shown.question) return;
    const voted = shown;
    const answer = await ask('cast', { question: voted.question.number, choice });
    if (!answer) return;
    before = voted;
    result.replaceChildren();
    show(answer, true);
  }

  async function showResult() {
    const answer = await ask('result');
    if (!answer) return;
    const heading = make(`h${level}`, '', texts.resultTitle);
    heading.tabIndex = -1;
    const [verdict, ...others] = answer.sentences;
    result.replaceChildren(
      heading,
      make('p', 'vote-verdict', verdict),
      ...others.map((sentence) => make('p', '', sentence)),
    );
    heading.focus();
  }

  function voteByKey(event) {
    if (!root.isConnected || !box.offsetParent || event.repeat) return;
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    if (/^(INPUT|TEXTAREA|SELECT)$/.test(event.target.tagName) || event.target.isContentEditable) return;
    const choice = CHOICES[Number(event.key) - 1];
    if (!choice) return;
    event.preventDefault();
    cast(choice);
  }

  function open(value) {
    if (!value || value.token === token) return;
    token = value.token || '';
    texts = value.texts || {};
    level = value.level;
    voter = token ? recall() : '';
    passcode = '';
    shown = null;
    before = null;
    stage.replaceChildren();
    result.replaceChildren();
    status.textContent = '';
    if (token) next(Boolean(value.focus));
  }

  document.addEventListener('keydown', voteByKey);
  return { open };
}
