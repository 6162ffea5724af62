"""The Playground tab: base and tuned model answer the same, side by side, with a proof of which is which."""

from collections.abc import Iterator
from typing import Any, NamedTuple

import gradio as gr

from studio import presets, runs
from studio.errors import StudioError
from studio.plan import Task
from studio.playground import alone, answer
from studio.playground.answer import Answer, Proof, Question
from studio.tabs import forms, visitor
from studio.tabs.forms import t
from studio.words import Words, label

HEAD = label(
    "### Compare\nBoth models get the same question, the same settings and the same random seed.",
    "### 对比\n两个模型回答同一个问题，设置和随机种子都一样。",
)
RUN = label("Result of which run", "用哪次训练的结果")
PROMPT = label("Your question or text", "你的问题或文本")
PROMPT_HINT = label("Something like your examples, but not one of them", "与样本类似、但不在其中的内容")
ALONE = label("Ask the base model alone", "只问基础模型")
ALONE_TITLE = Words("Base model alone: {model}", "只有基础模型：{model}")
FETCHING = Words("Fetching the model… {share:.0%}", "正在下载模型… {share:.0%}")
STARTING = Words("Loading the base model…", "正在加载基础模型…")
ASK, STOP = label("Ask both", "问两个模型"), label("Stop", "停止")
TEMPERATURE = label("How random the answers may be (temperature)", "随机性（temperature）")
TEMPERATURE_HELP = label("0 always takes the likeliest word.", "0 表示总取最可能的词。")
LENGTH = label("Longest answer in tokens", "回答最长 token 数")
SEED = label("Random starting point (seed)", "随机种子（seed）")
SEED_HELP = label("The same seed gives the same answers.", "相同种子得到相同回答。")
SIDES = {"base": Words("Base model", "基础模型"), "tuned": Words("Tuned model", "微调后的模型")}
NO_RUN = Words(
    "No finished run yet. Train one first: LoRA on the sample takes a few minutes.",
    "还没有完成的训练。先训练一次吧：用示例数据做 LoRA 只需几分钟。",
)
NO_PROMPT = Words("Type a question first.", "请先输入问题。")
NOTHING = Words("The answer will appear here.", "回答会显示在这里。")
LOADING = Words("Loading both models and checking which is which…", "正在加载两个模型，并核对有没有拿错权重…")
BADGE = Words("{name} · weights {checksum}", "{name} · 权重 {checksum}")
MATCHES = Words("exactly the weights this run saved", "与那次训练记下的权重一致")
DIFFERS = Words("not the weights this run saved", "与那次训练记下的权重不一致")
BASE_PROOF = Words(
    "Self-test: answers as the untouched base does (difference {moved:.3g}).", "自检：与未改动的基础模型一致（差异 {moved:.3g}）。"
)
TUNED_PROOF = Words(
    "Self-test: differs from the base (largest score difference {moved:.3g}).", "自检：与基础模型不同（最大分数差 {moved:.3g}）。"
)
UNTRAINED = Words("Its class head is new and untrained: these shares are random.", "它的分类头是新加的，还没训练，这些比例只是随机结果。")
SPEED = Words("{rate:.1f} tokens/s", "{rate:.1f} token/秒")
DOUBT = Words(
    "The self-test failed: do not trust this comparison. Train again, or choose another run.",
    "自检未通过：这次对比不可信。请重新训练，或换一次训练的结果。",
)

PANE = """<article class="pane {{value.side}}" aria-busy="{{value.busy}}"><header><h4>{{value.title}}</h4>
{{#if value.badge}}<p class="proof {{value.trust}}"><b>{{value.badge}}</b><span>{{value.proof}}</span></p>{{/if}}</header>
{{#if value.bars}}<ul class="classes">{{#each value.bars}}<li><span>{{this.name}}</span><span class="bar" aria-hidden="true"><i style="width:{{this.percent}}%"></i></span><b>{{this.share}}</b></li>{{/each}}</ul>
{{else}}<div class="answer">{{value.text}}</div>{{/if}}<footer>{{value.note}}</footer></article>"""


class PlaygroundTab(NamedTuple):
    """The components other tabs need."""

    choose: gr.Dropdown
    prompt: gr.Textbox
    asked: Any


def ask(
    run_id: str | None, last: str, prompt: str, temperature: float, length: float, seed: float, request: gr.Request
) -> Iterator[tuple[Any, ...]]:
    """Both answers as they grow: yields a notice and both panes. Where the list of runs is still on its way, the `last` one is asked."""
    lang, run_id = forms.language(request), run_id or last
    if not run_id:
        yield forms.notice(NO_RUN.say(lang), kind="bad"), gr.skip(), gr.skip()
        return
    if not prompt.strip():
        yield forms.notice(NO_PROMPT.say(lang), kind="bad"), gr.skip(), gr.skip()
        return
    try:
        run = runs.get(run_id)
        yield forms.notice(LOADING.say(lang)), pane("base", lang=lang, busy=True), pane("tuned", lang=lang, busy=True)
        seat = answer.seat(run)
        question = Question(prompt, max(0.0, min(2.0, float(temperature))), max(1, min(1024, int(length))), max(0, int(seed or 0)))
        told = forms.notice("" if seat.proof.holds else DOUBT.say(lang), kind="bad")
        classify = run.plan.task == "classify"
        for so_far in seat.ask(question):
            yield told, *(pane(side, so_far, seat.proof, lang, classify) for side in SIDES)
    except Exception as error:  # whatever it is, it is said here and not in an overlay
        yield forms.problem(error, lang), pane("base", lang=lang), pane("tuned", lang=lang)


def ask_alone(model: str, task: Task, prompt: str, length: float, request: gr.Request) -> Iterator[tuple[Any, ...]]:
    """The answer of the base model on the Method tab, before anything is trained."""
    lang = forms.language(request)
    if not prompt.strip():
        yield forms.notice(NO_PROMPT.say(lang), kind="bad"), gr.skip(), gr.skip()
        return
    card = presets.models().get(str(model or ""))
    shown = {**pane("base", lang=lang, busy=True), "title": ALONE_TITLE.say(lang, model=card.name if card else str(model))}
    empty = pane("tuned", lang=lang)
    yield forms.notice(STARTING.say(lang)), shown, empty
    try:
        visitor.check_model(str(model or ""))
        text = ""
        for text, fetched in alone.ask(str(model), prompt, max(1, min(1024, int(length))), task):
            yield forms.notice("" if fetched >= 1 else FETCHING.say(lang, share=fetched)), {**shown, "text": text}, empty
        yield forms.notice(""), {**shown, "text": text, "busy": "false"}, empty
    except StudioError as error:
        yield forms.problem(error, lang), {**shown, "busy": "false"}, empty


def stop(run_id: str | None) -> None:
    """End both answers where they are."""
    try:
        if run_id:
            answer.stop(runs.get(run_id))
    except StudioError:
        return  # a run that is gone has nothing to stop


def pane(
    side: str, so_far: Answer | None = None, proof: Proof | None = None, lang: str = "en", classify: bool = False, busy: bool = False
) -> dict[str, Any]:
    """What one side shows; everything in it is escaped by the template."""
    shown: dict[str, Any] = {
        "side": side,
        "title": SIDES[side].say(lang),
        "text": "",
        "bars": [],
        "note": "",
        "badge": "",
        "busy": "true" if busy else "false",
    }
    if so_far is None or proof is None:
        return {**shown, "note": "" if busy else NOTHING.say(lang)}
    badge, base = getattr(proof, side), side == "base"
    said = BASE_PROOF.say(lang, moved=proof.base_moved) if base else TUNED_PROOF.say(lang, moved=proof.tuned_moved)
    fine = badge.as_trained and (proof.base_moved == 0 if base else proof.tuned_moved > 0)
    shown["badge"] = BADGE.say(lang, name=badge.name, checksum=badge.checksum)
    shown["proof"] = f"{(MATCHES if badge.as_trained else DIFFERS).say(lang)}. {said}"
    shown["trust"] = "holds" if fine else "fails"
    refused = so_far.errors.get(side)
    shown["text"] = refused.say(lang) if refused else getattr(so_far, side)
    shown["busy"] = "false" if side in so_far.done else "true"
    ranked = sorted(so_far.scores.get(side, {}).items(), key=lambda item: -item[1])[:8]
    shown["bars"] = [{"name": name, "share": f"{share:.0%}", "percent": round(100 * share, 1)} for name, share in ranked]
    if classify:
        shown["note"] = UNTRAINED.say(lang) if base else ""
    elif side in so_far.done and not refused:
        shown["note"] = SPEED.say(lang, rate=so_far.speed[side])
    return shown


def choices(current: str | None, remembered: str, mine: object, request: gr.Request) -> Any:
    """The runs that have learned something; the one just trained is chosen unless the person chose another."""
    lang = forms.language(request)
    found = [run for run in visitor.visible([*visitor.ids(mine), remembered]) if runs.usable(run)]
    known = [run.id for run in found]
    value = next((run_id for run_id in (remembered, current, *known) if run_id in known), None)
    return gr.update(choices=[(runs.describe(run, lang), run.id) for run in found], value=value)


def remember(run_id: str | None) -> Any:
    """The person's own choice of a run is the one to come back to."""
    return run_id or gr.skip()


def greet(request: gr.Request) -> tuple[Any, ...]:
    """Both panes, still empty, in the browser's language."""
    lang = forms.language(request)
    return pane("base", lang=lang), pane("tuned", lang=lang)


def build(run: gr.BrowserState, model: gr.Dropdown, task: gr.Radio) -> PlaygroundTab:
    """Lay the tab out and wire it; `run` remembers the run trained last, `model` and `task` are those chosen for the next one."""
    gr.Markdown(t(HEAD))
    choose = gr.Dropdown([], label=t(RUN), elem_id="compare-run")
    prompt = gr.Textbox("", label=t(PROMPT), placeholder=t(PROMPT_HINT), lines=3, max_length=20_000, elem_id="prompt")
    with gr.Row():
        temperature = gr.Slider(0, 2, 0, step=0.1, label=t(TEMPERATURE), info=t(TEMPERATURE_HELP), elem_id="temperature")
        length = gr.Slider(8, 512, 120, step=8, label=t(LENGTH), elem_id="length")
        seed = gr.Number(0, label=t(SEED), info=t(SEED_HELP), precision=0, minimum=0, elem_id="answer-seed")
    with gr.Row():
        go = gr.Button(t(ASK), variant="primary", elem_id="ask")
        halt = gr.Button(t(STOP), elem_id="stop-answer")
        only = gr.Button(t(ALONE), elem_id="ask-alone")
    told = forms.notice_box("answer-notice")
    with gr.Row(equal_height=True):
        with gr.Column(min_width=300):
            base = gr.HTML(pane("base"), html_template=PANE, elem_id="base", apply_default_css=False)
        with gr.Column(min_width=300):
            tuned = gr.HTML(pane("tuned"), html_template=PANE, elem_id="tuned", apply_default_css=False)
    asked = {"run_id": choose, "last": run, "prompt": prompt, "temperature": temperature, "length": length, "seed": seed}
    sides = [told, base, tuned]
    answered = gr.on([go.click, prompt.submit], ask, inputs_kwargs=asked, outputs=sides, show_progress="hidden", concurrency_limit=4)
    lone = only.click(ask_alone, [model, task, prompt, length], [told, base, tuned], show_progress="hidden", concurrency_limit=1)
    halt.click(stop, choose, None, cancels=lone, show_progress="hidden", queue=False)
    gr.context.Context.root_block.load(greet, None, [base, tuned], show_progress="hidden", queue=False)
    return PlaygroundTab(choose, prompt, answered)
