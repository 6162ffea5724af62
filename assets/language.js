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

// Gradio 6.31 names two things without saying what they are: the lock on a table's first column, and a chart
// that is still empty. Both are pictures.
{
  const unnamed = '[aria-label="Static column"]:not([role]), [aria-label="Empty value"]:not([role])';
  const markPictures = () => {
    for (const picture of document.querySelectorAll(unnamed)) picture.setAttribute('role', 'img');
  };
  new MutationObserver(markPictures).observe(document.documentElement, { childList: true, subtree: true });
}
