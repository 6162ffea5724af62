"""Options that the page's events share, and how one event follows several components."""

from collections.abc import Sequence
from typing import Any

import gradio as gr

# An event whose handler is fast: it does not wait in Gradio's queue, and no component shows a spinner.
UNQUEUED: dict[str, Any] = {"show_progress": "hidden", "queue": False}
# Of several changes in a row only the latest is handled; for a handler that follows `after_any`.
LATEST_UNQUEUED: dict[str, Any] = {**UNQUEUED, "trigger_mode": "always_last"}


def after_any(*triggers: Any) -> Any:
    """An event after any of these; let handlers follow it with `.then(…, trigger_mode="always_last")`.

    Two such handlers on the same event would never end: when a deferred one is done, Gradio 6.31 fires the
    event again, for both.
    """
    return gr.on(
        list(triggers),
        None,
        None,
        None,
        js="() => {}",
        trigger_mode="multiple",
        show_progress="hidden",
        queue=False,
    )


# Gradio 6.31 makes an empty number 0 when it draws it, which hides the placeholder.
EMPTY_NUMBERS_JS = """async (...values) => {{
  const isDrawn = () => document.querySelector('#{first_id} input');
  for (let tries = 0; tries < 100 && !isDrawn(); tries += 1) {{
    await new Promise((resolve) => setTimeout(resolve, 20));
  }}
  return values.map((value) => value || null);
}}"""


def keep_empty(accordion: gr.Accordion, fields: Sequence[gr.Number]) -> None:
    """Let the number fields of an accordion stay empty when it is opened, so that their placeholders show."""
    script = EMPTY_NUMBERS_JS.format(first_id=fields[0].elem_id)
    accordion.expand(None, list(fields), list(fields), js=script, **UNQUEUED)


def read_event(event: gr.EventData, name: str) -> Any:
    """A value that the browser sent with an event; None where it sent none, as with the press of a button."""
    try:
        return getattr(event, name, None)
    except TypeError:  # Gradio 6.31 looks for the name in data that is not there
        return None
