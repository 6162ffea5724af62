"""The questions of this visit with their answers; it lives in the page, and follow-ups are built from it."""

from typing import Any

from studio.i18n import Message
from studio.playground.session import Turn
from studio.ui.playground.panes import SIDE_NAMES

TITLE = Message("Earlier questions ({count})")
FOLLOW_UP_MARK = Message("follow-up")
MAX_ENTRIES, MAX_CHARS = 20, 20_000
# The fields of an entry that are texts.
TEXT_FIELDS = ("question", "base", "tuned")
HISTORY_TEMPLATE = """
{{#if value.entries}}
<details class="history">
  <summary>{{value.title}}</summary>
  <ol>
    {{#each value.entries}}
      <li>
        <p class="asked">{{this.question}}{{#if this.mark}} <small>{{this.mark}}</small>{{/if}}</p>
        <dl>
          {{#if this.base}}<dt>{{../value.base}}</dt><dd>{{this.base}}</dd>{{/if}}
          <dt>{{../value.tuned}}</dt><dd>{{this.tuned}}</dd>
        </dl>
      </li>
    {{/each}}
  </ol>
</details>
{{/if}}
"""


def read_entries(value: object) -> list[dict[str, str]]:
    """The entries that a browser sends, the newest first; what is no entry is left out."""
    entries = value.get("entries") if isinstance(value, dict) else None
    if not isinstance(entries, list):
        return []
    return [_read_entry(entry) for entry in entries[:MAX_ENTRIES] if isinstance(entry, dict)]


def _read_entry(entry: dict[str, Any]) -> dict[str, str]:
    return {name: str(entry.get(name, ""))[:MAX_CHARS] for name in (*TEXT_FIELDS, "mark")}


def add_entry(value: object, entry: dict[str, str], is_follow_up: bool, lang: str) -> dict[str, Any]:
    """The history with one more entry, which comes first."""
    mark = FOLLOW_UP_MARK.render(lang) if is_follow_up else ""
    return history_value([{**entry, "mark": mark}, *read_entries(value)][:MAX_ENTRIES], lang)


def history_value(entries: list[dict[str, str]], lang: str) -> dict[str, Any]:
    """The value of the component."""
    names = {side: name.render(lang) for side, name in SIDE_NAMES.items()}
    return {"entries": entries, "title": TITLE.render(lang, count=len(entries)), **names}


def read_turns(value: object) -> tuple[Turn, ...]:
    """The conversation that a follow-up continues, the oldest turn first: back to its first question."""
    turns: list[Turn] = []
    for entry in read_entries(value):
        turns.insert(0, Turn(entry["question"], entry["base"], entry["tuned"]))
        if not entry["mark"]:
            break
    return tuple(turns)
