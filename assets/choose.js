// The recommendation: its buttons take it, continue, try its prompt or undo a change; a question opens among the six.
const openQuestion = (id) => {
  const header = document.querySelector('#chooser button.label-wrap');
  if (!header.classList.contains('open')) header.click();
  requestAnimationFrame(() => {
    const question = document.querySelector(`#ask-${id}`);
    question.scrollIntoView({ block: 'center' });
    question.querySelector('input').focus({ preventScroll: true });
  });
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
