// The chooser's result tells what the person wants done with it: take the plan, or try the prompt on the base model.
element.addEventListener('click', (event) => {
  const button = event.target.closest('button[data-do]');
  if (button) trigger(button.dataset.do === 'attempt' ? 'attempt' : 'take', {});
});
