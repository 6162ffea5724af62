"""Options that the page's events share, and how one event follows several components."""

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


def read_event(event: gr.EventData, name: str) -> Any:
    """A value that the browser sent with an event; None where it sent none, as with the press of a button."""
    try:
        return getattr(event, name, None)
    except TypeError:  # Gradio 6.31 looks for the name in data that is not there
        return None
