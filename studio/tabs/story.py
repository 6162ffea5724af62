"""Where one stands, above all tabs: what is done, what is chosen, what it would cost, what was trained, and what comes next."""

from typing import Any, NamedTuple

import gradio as gr

from studio import export, presets, runs
from studio.errors import StudioError
from studio.estimate.figures import Estimate
from studio.tabs import amounts, estimates
from studio.tabs.estimates import Asked
from studio.tabs.table_words import NO_PRICE
from studio.words import Words

TEMPLATE = """{{#if value.steps}}<ol class="story" aria-label="{{value.about}}">
{{#each value.steps}}<li class="{{this.state}}"><b>{{this.head}}</b> <span>{{this.said}}</span></li>{{/each}}</ol>{{/if}}"""
ABOUT = Words("Where you stand", "当前进度")
DATA, METHOD, RUN, NEXT = Words("Data", "数据"), Words("Method", "方法"), Words("Training", "训练"), Words("Next", "下一步")
EXAMPLES = Words("{count:,} examples", "{count:,} 个样本")
NONE = Words("none yet", "还没有")
NO_DATA = Words("bring examples, or press a sample", "上传样本，或点一个示例数据")
CHOSEN = Words("{method} on {model}", "{method} · {model}")
COST = Words("{method} on {model}: {time}, {memory}, {money}", "{method} · {model}：{time}，{memory}，{money}")
FREE = Words("no money", "不花钱")
TRAIN = Words("look at the settings, then train", "看看设置，然后开始训练")
TOO_BIG = Words("make it fit: the table says how", "先让它放得下：表格里有办法")
# How far a run has come -> what is said of it, and what comes next.
AFTER = {
    "going": (
        Words("“{name}” is under way", "“{name}”正在进行"),
        Words("watch it on the Train tab, or close the page: it goes on", "到“训练”页看进展；关掉页面也会继续"),
    ),
    "learned": (
        Words("“{name}” has been trained", "“{name}”已训练好"),
        Words("compare both models on the Playground tab", "到“对比”页比较两个模型"),
    ),
    "asked": (
        Words("“{name}” has been trained", "“{name}”已训练好"),
        Words("take it home on the Share tab, or go on comparing", "到“分享”页下载成果，或继续对比"),
    ),
    "packed": (
        Words("“{name}” has been trained and packed", "“{name}”已训练好并打包"),
        Words("use it, or change something and train again", "拿去用，或改一改再训练一次"),
    ),
}


class Strip(NamedTuple):
    """The component, the run trained last, and a text that changes with how far that has come."""

    shown: gr.HTML
    run: gr.BrowserState
    reached: gr.Textbox


def strip(run: gr.BrowserState) -> Strip:
    """Lay it out."""
    shown = gr.HTML({}, html_template=TEMPLATE, elem_id="story", apply_default_css=False)
    return Strip(shown, run, gr.Textbox("", visible=False))


def reached(run_id: str | None) -> str:
    """How far a run has come, by its folder: its id and a key of AFTER, as one text; "" where there is none, or it ended with nothing."""
    try:
        run = runs.get(run_id or "")
    except StudioError:
        return ""
    if runs.status(run).state not in runs.ENDED:
        return f"{run.id} going"
    if not runs.usable(run):
        return ""
    packed = any(file.stat().st_mtime_ns > runs.result(run) for file in (export.downloads() / run.id).glob("*.zip"))
    return f"{run.id} {'packed' if packed else 'asked' if (run.folder / 'playground.log').is_file() else 'learned'}"


def content(found: Asked, row: Estimate | None, lang: str, run_id: str = "") -> dict[str, Any]:
    """The strip for everything as it is set now, of which `row` is the estimate; of its steps the one to do next is marked.

    A run on other data is not spoken of.
    """
    told = _set(found, row, lang)
    run_id, _, far = reached(run_id).partition(" ")
    if far and (plan := runs.get(run_id).plan).data.source == found.plan.data.source:
        said, after = AFTER[far]
        told[2:] = [(RUN, said.say(lang, name=plan.name), "open" if far == "going" else "done"), (NEXT, after.say(lang), "next")]
    return {"about": ABOUT.say(lang), "steps": [{"head": head.say(lang), "said": said, "state": state} for head, said, state in told]}


def _set(found: Asked, row: Estimate | None, lang: str) -> list[tuple[Words, str, str]]:
    """Data, method and what comes next before a training: what each is called, what is said of it, and whether it is done or next."""
    name, card = found.plan.method.name, presets.models().get(found.plan.model)
    told: dict[str, object] = {"method": presets.methods()[name].name, "model": card.name if card else found.plan.model.split("/")[-1]}
    if not found.lengths:
        chosen = (METHOD, CHOSEN.say(lang, **told), "open")
        return [(DATA, NONE.say(lang), "open"), chosen, (NEXT, NO_DATA.say(lang), "next")]
    said = CHOSEN.say(lang, **told)
    if row and row.minutes and row.memory_gb:
        memory, time = estimates.spans(row, lang)
        told |= {"time": time, "memory": memory, "money": _money(row, lang)}
        said = COST.say(lang, **told)
    after = TOO_BIG if row and row.fits == "no" else TRAIN
    count = EXAMPLES.say(lang, count=found.lengths.count)
    return [(DATA, count, "done"), (METHOD, said, "done"), (NEXT, after.say(lang), "next")]


def _money(row: Estimate, lang: str) -> str:
    """What a run costs, that it costs nothing, or that nobody knows."""
    if row.money is None:
        return NO_PRICE.say(lang)
    return amounts.money(row.money, row.currency) if row.money.high else FREE.say(lang)
