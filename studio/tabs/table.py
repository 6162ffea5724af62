"""The comparison table of all methods: one row each, from the cards, with exact counts where the method is built."""

from collections.abc import Mapping
from typing import Any

import gradio as gr

from studio import methods, presets
from studio.methods import fits
from studio.methods.base import Footprint, Settings
from studio.methods.fits import Refusal
from studio.models.shape import ModelShape
from studio.plan import Task
from studio.tabs import forms
from studio.words import Words

HEADS = {
    "method": Words("Method", "方法"),
    "updated": Words("Numbers that change (parameters updated)", "会改变的参数（更新比例）"),
    "steps": Words("Steps", "步骤"),
    "when": Words("When", "何时选用"),
    "caption": Words("Ten ways to teach a model; choose a row", "教模型的十种方法，点选一行"),
}
COMING = Words("coming", "即将推出")
CHOSEN = Words("chosen", "已选")
SETTINGS = Words("Its settings ↓", "它的设置 ↓")
EXACT = Words("{trained} of {total}, exactly", "{total} 中的 {trained}，精确值")
NEEDS = Words("Wants: {needs}", "需要：{needs}")

TEMPLATE = """<table class="methods"><caption class="vh">{{value.caption}}</caption>
<thead><tr>{{#each value.heads}}<th scope="col">{{this}}</th>{{/each}}</tr></thead>
<tbody>{{#each value.rows}}<tr class="{{this.kind}}" data-id="{{this.id}}">
<th scope="row">{{#if this.open}}<button type="button" class="pick" aria-pressed="{{this.pressed}}" data-id="{{this.id}}">{{this.name}}</button>
{{else}}<span class="name">{{this.name}}</span>{{/if}}{{#if this.badge}}<span class="badge">{{this.badge}}</span>{{/if}}{{#if this.settings}}<a class="below" href="#knobs-{{this.id}}">{{this.settings}}</a>{{/if}}{{#if this.refused}}<span class="refused">{{this.refused}}</span>{{/if}}<span class="short">{{this.principle}}</span></th>
<td data-head="{{this.head_updated}}"><b>{{this.updated}}</b><span class="bar" aria-hidden="true"><i style="width:{{this.percent}}%"></i></span><span class="short">{{this.exact}}</span></td>
<td data-head="{{this.head_steps}}">{{this.steps}}</td>
<td data-head="{{this.head_when}}">{{this.when}}<span class="short">{{this.needs}}</span></td>
</tr>{{/each}}</tbody></table>"""
SCRIPT = """
element.addEventListener('click', (event) => {
  if (event.target.closest('a')) return;
  const row = event.target.closest('tr[data-id]');
  if (row && row.querySelector('.pick')) trigger('pick', { id: row.dataset.id });
});
"""


def table(elem_id: str) -> gr.HTML:
    """The component; it tells the picked method with the event `pick`, whose id must be checked against the list."""
    return gr.HTML({"rows": []}, html_template=TEMPLATE, js_on_load=SCRIPT, elem_id=elem_id, apply_default_css=False)


def content(shape: ModelShape | None, task: Task, labels: int, chosen: str, settings: Mapping[str, Settings], lang: str) -> dict[str, Any]:
    """What the table shows: for a model, a task and each built method's settings; `labels` counts classes, 0 for text."""
    ready = {method.name: method for method in methods.METHODS}
    rows = []
    for card in presets.methods().values():
        method = ready.get(card.id)
        refused = fits.refusal(card.id, task, shape)
        count = method.footprint(shape, settings[card.id], labels) if method and shape and not refused else None
        rows.append(_row(card, count, method is not None, refused, card.id == chosen, lang))
    heads = {name: said.say(lang) for name, said in HEADS.items()}
    return {"caption": heads["caption"], "heads": [heads[name] for name in ("method", "updated", "steps", "when")], "rows": rows}


def _row(
    card: presets.MethodCard, count: Footprint | None, built: bool, refused: Refusal | None, chosen: bool, lang: str
) -> dict[str, Any]:
    badge = CHOSEN if chosen else None if built else COMING
    able = built and not refused
    return {
        "id": card.id,
        "kind": "chosen" if chosen else "open" if able else "closed",
        "open": able,
        "refused": f"{refused.why.say(lang)} {refused.nearest.say(lang)}" if refused else "",
        "pressed": "true" if chosen else "false",
        "badge": badge.say(lang) if badge else "",
        "settings": SETTINGS.say(lang) if chosen else "",
        "name": card.name.say(lang),
        "principle": card.principle.say(lang),
        "updated": f"{count.share:.2%}" if count else card.updated.say(lang),
        "exact": EXACT.say(lang, trained=f"{count.trainable:,}", total=f"{count.total:,}") if count else "",
        "percent": max(1.0, round(100 * count.share, 1)) if count else 0,
        "steps": " → ".join(card.steps[lang]),
        "when": card.when.say(lang),
        "needs": NEEDS.say(lang, needs=card.needs.say(lang)),
        **{f"head_{name}": HEADS[name].say(lang) for name in ("updated", "steps", "when")},
    }


def sentence(count: Footprint, lang: str) -> str:
    """How much is trained, in one sentence."""
    said = Words("{trained} of {total} numbers are trained ({share:.2%}).", "将训练 {total} 个参数中的 {trained} 个（{share:.2%}）。")
    return said.say(lang, trained=forms.number(count.trainable), total=forms.number(count.total), share=count.share)
