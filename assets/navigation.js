// Where a person is: the tab in the address, the scroll position, the focus, and the title of the browser's tab.
// Other scripts may call studioOpenTab, studioReveal, studioTitle and studioNameRun.
(() => {
  const SCROLL_KEY = 'studio-scroll';
  const TOUR_KEY = 'studio-tour';
  const WAIT_MS = 10_000;
  const RETRY_MS = 50;
  const arrival = new URL(location.href).searchParams;
  let scrollByTab = {};
  let openedTab = '';
  let namedRun = '';

  const tabButtons = () => [...document.querySelectorAll('#tabs > .tab-wrapper [role=tab]')];
  const findTab = (name) => tabButtons().find((button) => button.dataset.tabId === name);
  const selectedTab = () => tabButtons().find((button) => button.getAttribute('aria-selected') === 'true');
  const panelOf = (button) => document.getElementById(button.getAttribute('aria-controls'));
  const isDrawn = (element) => Boolean(element && element.getClientRects().length);

  // What `find` returns once that is something; null if it never is.
  async function waitFor(find) {
    const end = performance.now() + WAIT_MS;
    while (performance.now() < end) {
      const found = find();
      if (found) return found;
      await new Promise((resolve) => setTimeout(resolve, RETRY_MS));
    }
    return null;
  }

  // ---- The focus

  function findHeading(container) {
    return [...container.querySelectorAll('h2, h3')].find(isDrawn);
  }

  function focusHeading(container) {
    const heading = findHeading(container) || container;
    heading.tabIndex = -1;
    heading.focus({ preventScroll: true });
  }

  // Opens a tab at its top, with the focus on its heading: for a button that leads on.
  window.studioOpenTab = async (name) => {
    findTab(name).click();
    const panel = await waitFor(() => {
      const candidate = panelOf(findTab(name));
      return isDrawn(candidate) && findHeading(candidate) ? candidate : null;
    });
    window.scrollTo(0, 0);
    if (panel) focusHeading(panel);
  };

  // Leads the eye and the focus to what an action brought about.
  window.studioReveal = (element) => {
    if (!element) return;
    element.scrollIntoView({ block: 'start' });
    focusHeading(element);
  };

  function addSkipLink() {
    const link = document.createElement('a');
    link.className = 'skip-link';
    link.href = '#tabs';
    link.textContent = window.studioTexts.skip;
    link.addEventListener('click', (event) => {
      event.preventDefault();
      const panel = panelOf(selectedTab());
      panel.scrollIntoView({ block: 'start' });
      focusHeading(panel);
    });
    document.querySelector('.gradio-container').prepend(link);
  }

  // One stop for all tabs, and arrow keys between them (WAI-ARIA's pattern for tabs).
  function moveBetweenTabs(event) {
    const buttons = tabButtons();
    const index = buttons.indexOf(event.target);
    const targets = { ArrowRight: index + 1, ArrowLeft: index - 1, Home: 0, End: buttons.length - 1 };
    if (index < 0 || !(event.key in targets)) return;
    event.preventDefault();
    const target = buttons.at(targets[event.key] % buttons.length);
    target.click();
    target.focus();
  }

  // ---- The title of the browser's tab

  // `text` is what goes on, such as "48 % · name"; "" for nothing.
  window.studioTitle = (text) => {
    const name = window.studioTexts.title;
    document.title = text ? `${text} · ${name}` : name;
  };

  // ---- The address: the tab and the run

  // An address with a run and no tab is one that was sent to somebody: it leads to the run.
  function tabOnArrival() {
    const name = arrival.get('tab') || (arrival.get('run') ? 'train' : '');
    return findTab(name) ? name : tabButtons()[0].dataset.tabId;
  }

  function tabInAddress() {
    const name = new URL(location.href).searchParams.get('tab');
    return findTab(name) ? name : openedTab;
  }

  function addressWith(name, value) {
    const url = new URL(location.href);
    url.searchParams.set(name, value);
    return url;
  }

  // Until the server has read the run in the address, another may be remembered.
  window.studioNameRun = (run) => {
    if (!run || (arrival.get('run') && !window.studioAttached)) return;
    namedRun = run;
    history.replaceState(history.state, '', addressWith('run', run));
  };

  function makeOneStop() {
    const selected = selectedTab();
    for (const button of tabButtons()) button.tabIndex = button === selected ? 0 : -1;
  }

  function followSelection() {
    makeOneStop();
    const name = selectedTab()?.dataset.tabId;
    if (!name || name === openedTab) return;
    openedTab = name;
    if (name !== tabInAddress()) history.pushState(null, '', addressWith('tab', name));
  }

  function goBack() {
    // The address of an earlier tab may name an earlier run.
    window.studioNameRun(namedRun);
    findTab(tabInAddress()).click();
    restoreScroll();
  }

  // ---- The scroll position of each tab

  function rememberScroll() {
    scrollByTab[openedTab] = window.scrollY;
  }

  function saveScroll() {
    sessionStorage.setItem(SCROLL_KEY, JSON.stringify(scrollByTab));
  }

  // The page grows while it is being filled: scrolls as soon as it is long enough, unless the person does.
  async function restoreScroll() {
    const wanted = scrollByTab[tabInAddress()] || 0;
    let isTakenOver = false;
    const takeOver = () => { isTakenOver = true; };
    for (const type of ['wheel', 'keydown', 'pointerdown']) {
      window.addEventListener(type, takeOver, { once: true, passive: true });
    }
    const isLongEnough = () => document.documentElement.scrollHeight - window.innerHeight >= wanted;
    await waitFor(() => isTakenOver || isLongEnough());
    if (!isTakenOver) window.scrollTo(0, wanted);
  }

  // ---- A page that outlived its server

  // A server that was started again knows nothing of this page's choices, and refuses them.
  async function reloadAfterRestart() {
    if (document.hidden) return;
    const { root, api_prefix: prefix, app_id: known } = window.gradio_config;
    try {
      const response = await fetch(`${root}${prefix}/app_id`);
      const { app_id: current } = await response.json();
      if (current !== known) location.reload();
    } catch {
      // No server now: the page says so where it needs one.
    }
  }

  // A browser may forbid storage: then every visit is a first one, and begins at the top.
  function readStorage() {
    try {
      scrollByTab = JSON.parse(sessionStorage.getItem(SCROLL_KEY) || '{}');
      window.addEventListener('pagehide', saveScroll);
      return Boolean(localStorage.getItem(TOUR_KEY));
    } catch {
      return false;
    }
  }

  async function openArrivalTab() {
    openedTab = tabOnArrival();
    history.replaceState(history.state, '', addressWith('tab', openedTab));
    findTab(openedTab).click();
    await waitFor(() => selectedTab() === findTab(openedTab));
    makeOneStop();
  }

  function listen() {
    new MutationObserver(followSelection).observe(document.querySelector('#tabs > .tab-wrapper'), {
      subtree: true,
      childList: true,
      attributeFilter: ['aria-selected'],
    });
    window.addEventListener('scroll', rememberScroll, { passive: true });
    window.addEventListener('popstate', goBack);
    window.addEventListener('focus', reloadAfterRestart);
    document.addEventListener('visibilitychange', reloadAfterRestart);
    document.addEventListener('keydown', moveBetweenTabs);
  }

  async function start() {
    const hasBeenHere = readStorage();
    history.scrollRestoration = 'manual';
    await waitFor(selectedTab);
    const head = await waitFor(() => document.querySelector('#head'));
    head.dataset.visit = hasBeenHere ? 'again' : 'first';
    window.studioTitle('');
    addSkipLink();
    await openArrivalTab();
    listen();
    restoreScroll();
  }

  start();
})();
