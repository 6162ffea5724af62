// The recommendation: its buttons take it, continue, try its prompt or undo a change; a question opens among the six.
// Gradio draws what is in a closed part only once it is opened.
const focusQuestion = (id, triesLeft) => {
  const question = document.querySelector(`#ask-${id}`);
  const input = question?.querySelector('input');
  if (!input?.checkVisibility()) {
    if (triesLeft > 0) setTimeout(() => focusQuestion(id, triesLeft - 1), 50);
    return;
  }
  question.scrollIntoView({ block: 'center' });
  input.focus({ preventScroll: true });
};
const openQuestion = (id) => {
  const header = document.querySelector('#chooser button.label-wrap');
  if (!header.classList.contains('open')) header.click();
  focusQuestion(id, 100);
};
const ACTIONS = {
  take: () => trigger('take', {}),
  attempt: () => trigger('attempt', {}),
  fit: () => trigger('fit', {}),
  undo: () => trigger('undo', {}),
  continue: () => document.querySelector('#to-train').click(),
  ask: (button) => openQuestion(button.dataset.id),
};
element.addEventListener('click', (event) => {
  const button = event.target.closest('button[data-do]');
  if (button) ACTIONS[button.dataset.do]?.(button);
});
