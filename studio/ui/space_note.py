"""What to know on a Space: who else uses the page, and what is lost when it restarts."""

import gradio as gr

from studio import space
from studio.i18n import Message, register_label
from studio.ui import visitors
from studio.ui.components.labels import t

SHARED = Message(
    "Others use this page too. They do not see your data and runs, which are removed after a day without "
    "change. You have one run at a time, of at most {minutes:.0f} minutes, and {rows:,} rows a data set. "
    "[Duplicate this Space for private work]({address})"
)
NO_VOLUME = Message(
    "When this Space restarts or falls asleep, its data, models and runs are lost. Download what you want to "
    "keep, or add a storage volume at /data in its settings."
)


def notes() -> list[Message]:
    """What to say on this page; nothing on one that is no Space."""
    if not space.space_id():
        return []
    shared = SHARED.format(
        minutes=visitors.MAX_MINUTES, rows=visitors.MAX_ROWS, address=space.duplicate_address()
    )
    return [*([shared] if visitors.is_public() else []), *([] if space.has_volume() else [NO_VOLUME])]


def build() -> None:
    """Lay the notes out, below the head."""
    for note in notes():
        gr.Markdown(t(register_label(note)), elem_classes="space-note", sanitize_html=True)
