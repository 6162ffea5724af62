// The health report tells which fix is wanted, that the last one is to be taken back, or that a check is to end or begin again; what it
// shows comes from its template. Gradio takes its events from the quoted words of this file.
const EVENTS = ['fix', 'undo', 'halt', 'again'];
element.addEventListener('click', (event) => {
  const button = event.target.closest('button[data-do]');
  if (!button || !EVENTS.includes(button.dataset.do)) return;
  button.disabled = true;
  trigger(button.dataset.do, { id: button.dataset.id || '' });
});
