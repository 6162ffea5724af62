// The health report tells which fix is wanted, that the last one is to be taken back, or that a check is to end or begin again; what it
// shows comes from its template. Gradio takes its events from the quoted words of this file.
const EVENTS = ['fix', 'undo', 'halt', 'again'];
// Changes of the rows happen one after another: what is pressed meanwhile waits for the report on the changed rows.
const CHANGES = ['fix', 'undo'];
const line = [];
const opened = new Set();
// The report during which the change at work was pressed; null where none is.
let turnAtPress = null;
// Who pressed a button of the report stays in it: the button goes, or cannot be pressed for a while, and its focus would go with it.
let held = false;

const hold = () => {
  const at = document.activeElement;
  if (held && (!at || at === document.body || at.disabled)) element.querySelector('[data-head]')?.focus({ preventScroll: true });
};

const buttonOf = (press) => element.querySelector(`button[data-do="${press.event}"]${press.id ? `[data-id="${press.id}"]` : ''}`);

const send = (press) => {
  if (CHANGES.includes(press.event)) turnAtPress = props.value?.turn;
  trigger(press.event, { id: press.id });
};

const showLine = () => {
  for (const press of line) {
    const button = buttonOf(press);
    if (!button) continue;
    button.disabled = true;
    button.title = props.value?.queued ?? '';
    button.dataset.queued = props.value?.queued ?? '';
  }
};

const sendNext = () => {
  const next = line.shift();
  if (!next) return;
  const button = buttonOf(next);
  if (!button) {
    sendNext();
    return;
  }
  button.disabled = true;
  send(next);
};

document.addEventListener('focusin', (event) => {
  if (!element.contains(event.target)) held = false;
});

element.addEventListener('click', (event) => {
  const details = event.target.closest('summary')?.parentElement;
  if (details) {
    // The click opens or closes it only after this.
    if (details.open) opened.delete(details.dataset.kind);
    else opened.add(details.dataset.kind);
    return;
  }
  const button = event.target.closest('button[data-do]');
  if (!button || !EVENTS.includes(button.dataset.do)) return;
  const press = { event: button.dataset.do, id: button.dataset.id || '' };
  button.disabled = true;
  held = true;
  hold();
  if (press.event === 'halt') line.length = 0;
  if (CHANGES.includes(press.event) && turnAtPress !== null) {
    line.push(press);
    showLine();
    return;
  }
  send(press);
});

watch('value', () => {
  // What shows the same again is not drawn anew: a button that came to nothing can be pressed again.
  if (!props.value?.wait) element.querySelectorAll('button[data-do]').forEach((button) => (button.disabled = false));
  element.querySelectorAll('button[data-queued]').forEach((button) => button.removeAttribute('data-queued'));
  element.querySelectorAll('details[data-kind]').forEach((details) => (details.open = opened.has(details.dataset.kind)));
  const isNewReport = !props.value?.wait && props.value?.turn !== turnAtPress;
  if (turnAtPress !== null && (isNewReport || props.value?.halted)) {
    turnAtPress = null;
    sendNext();
  }
  showLine();
  hold();
});
