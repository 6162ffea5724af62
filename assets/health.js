// The health report tells which fix is wanted, that the last one is to be taken back, or that a check is to end or begin again; what it
// shows comes from its template. Gradio takes its events from the quoted words of this file.
const EVENTS = ['fix', 'undo', 'halt', 'again'];
// Who pressed a button of the report stays in it: the button goes, or cannot be pressed for a while, and its focus would go with it.
let held = false;
const hold = () => {
  const at = document.activeElement;
  if (held && (!at || at === document.body || at.disabled)) element.querySelector('[data-head]')?.focus({ preventScroll: true });
};
document.addEventListener('focusin', (event) => {
  if (!element.contains(event.target)) held = false;
});
element.addEventListener('click', (event) => {
  const button = event.target.closest('button[data-do]');
  if (!button || !EVENTS.includes(button.dataset.do)) return;
  button.disabled = true;
  held = true;
  hold();
  trigger(button.dataset.do, { id: button.dataset.id || '' });
});
watch('value', () => {
  // What shows the same again is not drawn anew: a button that came to nothing can be pressed again.
  if (!props.value?.wait) element.querySelectorAll('button[data-do]').forEach((button) => (button.disabled = false));
  hold();
});
