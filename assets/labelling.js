// The list of texts to label: fills in the choices, adds a label of the person's own, and sends what was decided. Gradio takes its events
// from the quoted words of this file.
const EVENTS = ['save'];
const LABEL_PREFIX = 'label:';

const addOption = (select, value, text) => {
  const option = document.createElement('option');
  option.value = value;
  option.textContent = text;
  select.append(option);
};

const fill = () => {
  const value = props.value ?? {};
  for (const select of element.querySelectorAll('select[data-row]')) {
    if (select.options.length) continue;
    for (const [choice, text] of value.fixed ?? []) addOption(select, choice, text);
    for (const name of value.labels ?? []) addOption(select, LABEL_PREFIX + name, name);
    select.value = select.dataset.choice;
  }
};

const addLabel = () => {
  const input = element.querySelector('#new-label');
  const name = input?.value.trim();
  if (!name) return;
  for (const select of element.querySelectorAll('select[data-row]')) {
    if (![...select.options].some((option) => option.value === LABEL_PREFIX + name)) addOption(select, LABEL_PREFIX + name, name);
  }
  input.value = '';
  element.querySelector('select[data-row]')?.focus();
};

element.addEventListener('keydown', (event) => {
  if (event.key !== 'Enter' || event.target.id !== 'new-label') return;
  event.preventDefault();
  addLabel();
});

element.addEventListener('click', (event) => {
  const button = event.target.closest('button[data-do]');
  if (button?.dataset.do === 'add') addLabel();
  if (button?.dataset.do !== 'save') return;
  button.disabled = true;
  const decisions = [...element.querySelectorAll('select[data-row]')].map((select) => [Number(select.dataset.row), select.value]);
  trigger(EVENTS[0], { decisions: JSON.stringify(decisions) });
});

let shownVersion = null;
watch('value', () => {
  element.querySelectorAll('button[data-do="save"]').forEach((button) => (button.disabled = false));
  fill();
  const version = props.value?.rows ? `${props.value.mode} ${props.value.version}` : null;
  if (version && version !== shownVersion) element.querySelector('[data-head]')?.focus({ preventScroll: false });
  shownVersion = version;
});
fill();
