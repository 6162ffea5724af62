"""Tables as HTML, with a caption and headings that a screen reader announces."""

import html
from collections.abc import Sequence


def render_table(caption: str, headings: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A table from escaped cells; it scrolls sideways within its frame."""
    header = "".join(f'<th scope="col">{html.escape(heading)}</th>' for heading in headings)
    body = ""
    for row_heading, *cells in rows:
        data_cells = "".join(f"<td>{cell}</td>" for cell in cells)
        body += f'<tr><th scope="row">{row_heading}</th>{data_cells}</tr>'
    escaped_caption = html.escape(caption)
    return (
        f'<div class="outcome-frame" tabindex="0" role="region" aria-label="{escaped_caption}">'
        f'<table class="outcome"><caption>{escaped_caption}</caption>'
        f"<thead><tr>{header}</tr></thead><tbody>{body}</tbody></table></div>"
    )
