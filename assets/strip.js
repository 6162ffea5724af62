// The progress strip: ticks on the tabs whose part is done, and no figures of a plan that the page no longer shows.
const block = document.querySelector('#story');
// Texts of a template's value come with these escaped (studio/ui/components/gradio_adapter.py).
const unescapeText = (text) => text.replace(/\\([\\`$])/g, '$1');

// The strip may be drawn before the tabs are there.
function markTabs() {
  const tabs = document.querySelector('#tabs');
  if (!tabs) {
    requestAnimationFrame(markTabs);
    return;
  }
  tabs.dataset.done = (props.value?.done || []).join(' ');
}

// `plan` is what the fields hold now, `value.plan` what the figures were worked out for.
function markStale() {
  const shown = props.plan || [];
  const figured = (props.value?.plan || []).map(unescapeText);
  const isStale = shown.some((field, index) => (field ?? '') !== figured[index]);
  block.toggleAttribute('data-stale', isStale);
}

function draw() {
  markTabs();
  markStale();
}

// What happened while the page was not looked at, perhaps in another tab.
document.addEventListener('visibilitychange', () => {
  if (!document.hidden) trigger('seen');
});
watch('value', draw);
watch('plan', draw);
