// The language a person has chosen stands in a cookie, so that the server knows it too; without one the browser's own language counts.
(() => {
  const locales = __LOCALES__; // language -> the browser's name for it, filled in by studio/ui/language.py
  const chosen = (document.cookie.match(/(?:^|; )studio-lang=([a-z]+)(?:;|$)/) || [])[1];
  if (locales[chosen]) {
    Object.defineProperty(navigator, 'language', { get: () => locales[chosen] });
    Object.defineProperty(navigator, 'languages', { get: () => [locales[chosen]] });
  }
  window.studioLanguages = Object.keys(locales);
  window.studioLanguage = window.studioLanguages.find((name) => navigator.language.toLowerCase().startsWith(name)) || 'en';
  document.documentElement.lang = locales[window.studioLanguage];
})();
// Gradio 6.31 names two things without saying what they are: the lock on a table's first column, and a chart that is still empty. Both are pictures.
{
  const unnamed = '[aria-label="Static column"]:not([role]), [aria-label="Empty value"]:not([role])';
  new MutationObserver(() => document.querySelectorAll(unnamed).forEach((picture) => picture.setAttribute('role', 'img')))
    .observe(document.documentElement, { childList: true, subtree: true });
}
