// The language a person has chosen stands in a cookie, so that the server knows it too; without one the browser's own language counts.
(() => {
  const kept = (document.cookie.match(/(?:^|; )studio-lang=(en|zh)(?:;|$)/) || [])[1];
  const chosen = kept && { en: 'en', zh: 'zh-CN' }[kept];
  if (chosen) {
    Object.defineProperty(navigator, 'language', { get: () => chosen });
    Object.defineProperty(navigator, 'languages', { get: () => [chosen] });
  }
  document.documentElement.lang = navigator.language.toLowerCase().startsWith('zh') ? 'zh-CN' : 'en';
})();
// Gradio 6.31 names the lock on a table's first column without saying what it is: a picture.
new MutationObserver(() => document.querySelectorAll('[aria-label="Static column"]:not([role])').forEach((lock) => lock.setAttribute('role', 'img')))
  .observe(document.documentElement, { childList: true, subtree: true });
