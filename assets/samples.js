// A press on a sample opens it. Gradio takes the name of the event from the quoted word of this file.
element.addEventListener('click', (event) => {
  const button = event.target.closest('button[data-sample]');
  if (button) trigger('pick', { id: button.dataset.sample });
});
