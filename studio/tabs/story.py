"""Where one stands, above all tabs: what is done, what is chosen, what it would cost, and what comes next."""

from typing import Any

import gradio as gr

from studio import presets
from studio.estimate.figures import Estimate
from studio.tabs import amounts, estimates
from studio.tabs.estimates import Asked
from studio.tabs.table_words import NO_PRICE
from studio.words import Words

TEMPLATE = """{{#if value.steps}}<ol class="story" aria-label="{{value.about}}">
{{#each value.steps}}<li class="{{this.state}}"><b>{{this.head}}</b> <span>{{this.said}}</span></li>{{/each}}</ol>{{/if}}"""
ABOUT = Words("Where you stand", "当前进度")
DATA, METHOD, NEXT = Words("Data", "数据"), Words("Method", "方法"), Words("Next", "下一步")
EXAMPLES = Words("{count:,} examples", "{count:,} 个样本")
NO_DATA = Words("bring examples, or press a sample", "带来样本，或点一个示例数据")
CHOSEN = Words("{method} on {model}", "{method} · {model}")
COST = Words("{method} on {model}: {time}, {memory}, {money}", "{method} · {model}：{time}，{memory}，{money}")
FREE = Words("no money", "不花钱")
TRAIN = Words("look at the settings, then train", "看看设置，然后开始训练")
TOO_BIG = Words("make it fit: the table says how", "先让它放得下：表格里有办法")


def strip() -> gr.HTML:
    """The component."""
    return gr.HTML({}, html_template=TEMPLATE, elem_id="story", apply_default_css=False)


def content(found: Asked, lang: str) -> dict[str, Any]:
    """The strip for everything as it is set now; three steps, of which the one to do next is marked."""
    name, card = found.plan.method.name, presets.models().get(found.plan.model)
    told: dict[str, object] = {"method": presets.methods()[name].name, "model": card.name if card else found.plan.model.split("/")[-1]}
    if not found.lengths:
        return _steps(lang, NO_DATA.say(lang), CHOSEN.say(lang, **told), NO_DATA.say(lang), 0)
    row = estimates.chosen(found)
    said = CHOSEN.say(lang, **told)
    if row and row.minutes and row.memory_gb:
        time, memory = row.minutes, row.memory_gb
        told |= {
            "time": amounts.span(amounts.duration(time.low, lang), amounts.duration(time.high, lang)),
            "memory": amounts.span(amounts.memory(memory.low), amounts.memory(memory.high)),
            "money": _money(row, lang),
        }
        said = COST.say(lang, **told)
    after = TOO_BIG if row and row.fits == "no" else TRAIN
    return _steps(lang, EXAMPLES.say(lang, count=found.lengths.count), said, after.say(lang), 2)


def _money(row: Estimate, lang: str) -> str:
    """What a run costs, that it costs nothing, or that nobody knows."""
    if row.money is None:
        return NO_PRICE.say(lang)
    return amounts.money(row.money, row.currency) if row.money.high else FREE.say(lang)


def _steps(lang: str, data: str, method: str, after: str, done: int) -> dict[str, Any]:
    told = ((DATA, data), (METHOD, method), (NEXT, after))
    states = ("done" if number < done else "next" if number == 2 else "open" for number in range(3))
    return {
        "about": ABOUT.say(lang),
        "steps": [{"head": head.say(lang), "said": said, "state": state} for (head, said), state in zip(told, states, strict=True)],
    }
