// The health report tells which fix is wanted, or that the last one is to be taken back; what it shows comes from its template.
element.addEventListener('click', (event) => {
  const button = event.target.closest('button[data-do]');
  if (!button) return;
  button.disabled = true;
  trigger(button.dataset.do === 'undo' ? 'undo' : 'fix', { id: button.dataset.id || '' });
});
