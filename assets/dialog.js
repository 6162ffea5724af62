// What the scripts of the glossary and of the tour share; it stands before each (studio/ui/help/panel.py).
function createElement(name, className, ...children) {
  const created = document.createElement(name);
  created.className = className;
  created.append(...children);
  return created;
}

function getWord(name, values = {}) {
  const text = props.value?.words?.[name] || '';
  return text.replace(/\{(\w+)\}/g, (place, key) => values[key] ?? place);
}
