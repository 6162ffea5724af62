// The chooser's result: the browser reports which of its buttons was pressed, `take` or `attempt`.
element.addEventListener('click', (event) => {
  const button = event.target.closest('button[data-do]');
  if (button) trigger(button.dataset.do === 'attempt' ? 'attempt' : 'take', {});
});
