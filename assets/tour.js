// The tour: one step for each tab, in a small box that holds nothing up. It comes by itself on the first visit,
// and again when it is asked for. Texts go in as text only, never as HTML.
const SEEN_KEY = 'studio-tour';

// ---- Whether it was seen; where a browser forbids storage, until the page is opened again.

function wasSeen() {
  try {
    return Boolean(localStorage.getItem(SEEN_KEY));
  } catch {
    return Boolean(window.studioTourSeen);
  }
}

function rememberSeen() {
  window.studioTourSeen = true;
  try {
    localStorage.setItem(SEEN_KEY, 'seen');
  } catch {
    // Not permitted here.
  }
}

// ---- The tabs

const tabButtons = () => [...document.querySelectorAll('#tabs > .tab-wrapper [role=tab]')];
const openTabIndex = () => tabButtons().findIndex((tab) => tab.getAttribute('aria-selected') === 'true');

function openTab(index) {
  if (index !== openTabIndex()) tabButtons()[index]?.click();
}

// ---- The box

function createButton(className, act) {
  const button = createElement('button', className);
  button.type = 'button';
  button.addEventListener('click', act);
  return button;
}

const place = createElement('p', 'tour-place');
const title = createElement('h2', '');
const text = createElement('p', '');
const sentences = createElement('div', '', place, title, text);
const skipButton = createButton('help-quiet tour-skip', () => end());
const backButton = createButton('help-quiet', () => turn(-1));
const nextButton = createButton('help-main', () => turn(1));
const footer = createElement('footer', '', skipButton, backButton, nextButton);
const box = createElement('section', 'tour', sentences, footer);
title.id = 'tour-title';
sentences.setAttribute('aria-live', 'polite');
box.setAttribute('role', 'dialog');
box.setAttribute('aria-labelledby', title.id);
box.hidden = true;
element.appendChild(box);

let step = 0;
let startTab = 0;
let wasAskedFor = false;

function show() {
  const { steps } = props.value;
  const isLast = step === steps.length - 1;
  const focused = document.activeElement;
  place.textContent = getWord('place', { step: step + 1, count: steps.length });
  title.textContent = steps[step].title;
  text.textContent = steps[step].text;
  skipButton.textContent = getWord('skip');
  backButton.textContent = getWord('back');
  nextButton.textContent = getWord(isLast ? 'done' : 'next');
  skipButton.hidden = isLast;
  backButton.hidden = step === 0;
  if (focused.hidden) nextButton.focus();
}

function turn(by) {
  step = Math.max(0, step + by);
  if (step >= props.value.steps.length) {
    end();
    return;
  }
  openTab(step);
  show();
}

function start(isAskedFor) {
  if (!props.value?.steps?.length) return;
  wasAskedFor = isAskedFor;
  startTab = Math.max(0, openTabIndex());
  step = 0;
  show();
  box.hidden = false;
  if (!isAskedFor) return;
  openTab(0);
  nextButton.focus();
}

function end() {
  const hadFocus = box.contains(document.activeElement);
  close();
  openTab(startTab);
  if (hadFocus) document.querySelector('#show-around').focus({ preventScroll: true });
}

function close() {
  rememberSeen();
  box.hidden = true;
}

// Whoever has begun to work needs no tour that came by itself.
function closeWhenWorkBegins(event) {
  const isWork = event.target.closest('#tabs [role=tabpanel]');
  if (isWork && !box.hidden && !wasAskedFor) close();
}

function endOnEscape(event) {
  const isDialogOpen = document.querySelector('dialog:modal');
  if (event.key === 'Escape' && !box.hidden && !isDialogOpen) end();
}

document.addEventListener('studio-tour', () => start(true));
document.addEventListener('keydown', endOnEscape);
document.addEventListener('click', closeWhenWorkBegins);
document.addEventListener('drop', closeWhenWorkBegins);

watch('value', () => {
  // Whoever comes by the address of a run wants to see that run.
  const isForRun = new URL(location.href).searchParams.get('run');
  if (!box.hidden) show();
  else if (!wasSeen() && !isForRun) start(false);
});
