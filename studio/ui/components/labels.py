"""Fixed labels of the page, which the browser shows in its own language."""

from typing import Any

import gradio as gr

from studio import i18n
from studio.i18n import Message

_I18N = gr.I18n()


def t(label: Message) -> Any:
    """A fixed label as a component takes it; the browser looks its text up in its own language."""
    return _I18N(i18n.label_key(label))


def translations() -> gr.I18n:
    """All fixed labels in all languages, for `Blocks.launch`."""
    labels_by_locale = {}
    for language in i18n.languages():
        for locale in i18n.about(language).get("browser_locales", [language]):
            labels_by_locale[locale] = i18n.labels(language)
    return gr.I18n(**labels_by_locale)
