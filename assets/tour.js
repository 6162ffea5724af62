// The first visit: one step for each tab, in a small box that holds nothing up. It comes by itself once, and again when it is asked for.
const KEPT = 'studio-tour';
const make = (name, className, text) => { const made = document.createElement(name); if (className) made.className = className; if (text != null) made.textContent = text; return made; };
const fill = (text, values) => Object.entries(values).reduce((said, [name, value]) => said.replace(`{${name}}`, () => value), text || '');
const told = () => props.value || {};
const word = (name, values = {}) => fill((told().words || {})[name], values);
const seen = () => { try { return Boolean(localStorage.getItem(KEPT)); } catch (error) { return Boolean(window.studioTour); } };
const keep = () => { window.studioTour = true; try { localStorage.setItem(KEPT, 'seen'); } catch (error) { /* not permitted here: until the page is opened again */ } };
// On a phone the last tabs lie in a menu, and the chosen one changes places with them: their order is that of the row Gradio measures by.
const bar = (what) => [...(document.querySelector('#tabs .tab-wrapper')?.querySelectorAll(what) || [])];
const names = () => bar('.visually-hidden button').map((tab) => tab.textContent);
const chosen = () => names().indexOf(bar('[role=tab][aria-selected=true]')[0]?.textContent);
const go = (place) => { if (place !== chosen()) bar('[role=tab], .overflow-dropdown button').find((tab) => tab.textContent === names()[place])?.click(); };

const box = make('section', 'tour'), place = make('p', 'tour-place'), title = make('h2'), text = make('p'), said = make('div'), foot = make('footer');
const button = (className, act) => { const made = make('button', className); made.type = 'button'; made.addEventListener('click', act); foot.append(made); return made; };
const skip = button('help-quiet tour-skip', () => end()), back = button('help-quiet', () => turn(-1)), next = button('help-main', () => turn(1));
said.setAttribute('aria-live', 'polite'); title.id = 'tour-title'; box.setAttribute('role', 'dialog'); box.setAttribute('aria-labelledby', title.id); box.hidden = true;
said.append(place, title, text); box.append(said, foot); element.appendChild(box);

let step = 0, from = null, began = 0;
const show = () => {
  const { steps } = told(), last = step === steps.length - 1, held = document.activeElement;
  place.textContent = `${word('name')} · ${word('place', { step: step + 1, count: steps.length })}`;
  title.textContent = steps[step].title; text.textContent = steps[step].text;
  skip.textContent = word('skip'); back.textContent = word('back'); next.textContent = word(last ? 'done' : 'next');
  skip.hidden = last; back.hidden = !step;
  if (held && held.hidden) next.focus();
};
const turn = (by) => {
  if (step + by >= told().steps.length) { end(); return; }
  step = Math.max(0, step + by); go(step); show();
};
const start = (asked) => {
  if (!(told().steps || []).length) return;
  from = asked ? document.activeElement : null; began = Math.max(0, chosen());
  step = 0; show();
  box.hidden = false;
  if (asked) { go(0); next.focus(); }
};
const end = () => {
  const inside = box.contains(document.activeElement);
  keep(); box.hidden = true; go(began);
  if (inside) (from && from.isConnected ? from : document.querySelector('#show-around'))?.focus({ preventScroll: true });
};
document.addEventListener('studio-tour', () => start(true));
document.addEventListener('keydown', (event) => { if (event.key === 'Escape' && !box.hidden && !document.querySelector('dialog:modal')) end(); });
// Whoever comes by the address of a run wants to see that run.
watch('value', () => { if (!box.hidden) show(); else if (!seen() && !new URL(location.href).searchParams.get('run')) start(false); });
