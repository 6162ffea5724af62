// The language a person has chosen is kept in a cookie, so that the server knows it too; without one the browser's own counts.
(() => {
  // What studio/ui/language.py says of each language: the browser's name for it, and texts of the page itself.
  const languages = __LANGUAGES__;
  const names = Object.keys(languages);
  const chosen = (document.cookie.match(/(?:^|; )studio-lang=([a-z]+)(?:;|$)/) || [])[1];
  if (languages[chosen]) {
    const { locale } = languages[chosen];
    Object.defineProperty(navigator, 'language', { get: () => locale });
    Object.defineProperty(navigator, 'languages', { get: () => [locale] });
  }
  const preferred = navigator.language.toLowerCase();
  window.studioLanguage = names.find((name) => preferred.startsWith(name)) || 'en';
  window.studioTexts = languages[window.studioLanguage];
  document.documentElement.lang = window.studioTexts.locale;

  // All open tabs of the browser change together: the server answers each of them in the language of the cookie.
  const channel = new BroadcastChannel('studio-language');
  channel.addEventListener('message', () => location.reload());
  window.studioSwitchLanguage = () => {
    const next = names[(names.indexOf(window.studioLanguage) + 1) % names.length];
    document.cookie = `studio-lang=${next}; path=/; max-age=31536000; samesite=lax`;
    channel.postMessage(next);
    location.reload();
  };
})();

// Gradio 6.31 has some of its words in English alone, and names two things without saying what they are: the lock
// on a table's first column, and a chart that is still empty. Both are pictures.
(() => {
  const WORD_ATTRIBUTES = ['aria-label', 'title'];
  const PICTURES = '[aria-label="Static column"]:not([role]), [aria-label="Empty value"]:not([role])';
  const TEXTS = '.toast-title, .toast-message-text, .cell-menu button';
  const words = Object.entries(window.studioTexts.gradio).map(([english, translation]) => ({
    pattern: patternOf(english),
    translation,
  }));

  // `{name}` in a text stands for what Gradio fills in.
  function patternOf(text) {
    const escaped = text.replace(/[.*+?^$()|[\]\\]/g, '\\$&');
    return new RegExp(`^${escaped.replace(/\{(\w+)\}/g, '(?<$1>.+)')}$`);
  }

  // The translation of one of Gradio's texts; null for any other text.
  function translate(text) {
    for (const { pattern, translation } of words) {
      const match = text.trim().match(pattern);
      if (match) return translation.replace(/\{(\w+)\}/g, (_, name) => match.groups[name]);
    }
    return null;
  }

  function translateAttribute(element, name) {
    const translation = translate(element.getAttribute(name) || '');
    if (translation) element.setAttribute(name, translation);
  }

  function translateTexts(element) {
    for (const node of element.childNodes) {
      const translation = node.nodeType === Node.TEXT_NODE && translate(node.data);
      if (translation) node.data = translation;
    }
  }

  // An element with all that it holds.
  function mend(root) {
    const findAll = (selector) => [root, ...root.querySelectorAll(selector)].filter((element) => element.matches(selector));
    for (const picture of findAll(PICTURES)) picture.setAttribute('role', 'img');
    if (!words.length) return;
    for (const name of WORD_ATTRIBUTES) {
      for (const element of findAll(`[${name}]`)) translateAttribute(element, name);
    }
    for (const element of findAll(TEXTS)) translateTexts(element);
  }

  function follow(changes) {
    for (const { type, target, attributeName, addedNodes } of changes) {
      if (type === 'attributes') translateAttribute(target, attributeName);
      for (const node of addedNodes) {
        if (node.nodeType === Node.ELEMENT_NODE) mend(node);
      }
    }
  }

  new MutationObserver(follow).observe(document.documentElement, {
    childList: true,
    subtree: true,
    attributeFilter: WORD_ATTRIBUTES,
  });
})();
