"""The live view of one run: what the browser asks for, and the component that asks."""

from pathlib import Path
from typing import Any

import gradio as gr
import plotly

from studio import presets, runs
from studio.errors import BadPlan, RunNotFound
from studio.plan import Plan
from studio.runs import Run, Status
from studio.tabs import forms
from studio.train import launch, worker
from studio.words import Words, label

MOST_BYTES = 200_000
PLOTLY = Path(plotly.__file__).parent / "package_data" / "plotly.min.js"
STATES: dict[str, Words] = {
    "waiting": Words("Waiting for its turn", "排队等待"),
    "preparing": Words("Preparing", "准备中"),
    "training": Words("Training", "训练中"),
    "evaluating": Words("Checking", "评估中"),
    "done": Words("Done", "已完成"),
    "stopped": Words("Stopped; what it learned is kept", "已停止，学到的内容已保留"),
    "unlearned": Words("Stopped before it had learned anything", "已停止，尚未学到内容"),
    "failed": Words("Did not finish", "未完成"),
    "stopping": Words("Stopping after this step", "本步结束后停止"),
}
STAGES: dict[str, Words] = {
    "queue": Words("{steps} run(s) ahead; it starts by itself", "前面还有 {steps} 个运行，轮到后自动开始"),
    "data": Words("reading the examples", "读取样本"),
    "fetch": Words("fetching the model, {step} of {steps} MB", "获取模型，{step} / {steps} MB"),
    "load": Words("loading the model", "加载模型"),
    "before": Words("measuring the base model on the kept-aside examples", "在预留样本上测量基础模型"),
    "train": Words("step {step} of {steps}", "第 {step} 步，共 {steps} 步"),
    "after": Words("measuring the tuned model on the kept-aside examples", "在预留样本上测量调优后的模型"),
}
UNPACKING = Words("unpacking the model; once, about half a minute", "正在解包模型；仅此一次，约半分钟")
FIRST_STEP = Words("the first of {steps} steps; it takes longer than the others", "共 {steps} 步，正在进行第一步；首步较慢")
CURVES = {
    "train": Words("training loss", "训练损失"),
    "check": Words("validation loss", "验证损失"),
    "step": Words("step", "步"),
    "loss": Words("loss (lower is better)", "损失（越低越好）"),
}
RECONNECTING = label("Reconnecting…", "正在重新连接…")
ABOUT = Words(
    "{method} on {model}, {epochs:g} epochs, {batch} examples per step", "{method} · {model} · {epochs:g} 轮 · 每步 {batch} 个样本"
)
EPOCH, LEFT = Words("epoch {epoch:.1f}", "第 {epoch:.1f} 轮"), Words("about {time} left", "约剩 {time}")
SPEED, MEMORY = Words("{rate:,.0f} tokens/s", "{rate:,.0f} token/秒"), Words("{gb:.1f} GB memory", "内存 {gb:.1f} GB")
LOWERED = Words(
    "Validation loss went from {before:.3f} to {after:.3f} (best at step {step}), in {time}. Next: compare both models in the Playground.",
    "验证损失从 {before:.3f} 降到 {after:.3f}（第 {step} 步最好），用时 {time}。下一步：到“对比”页比较两个模型。",
)
NOT_LOWERED = Words(
    "Validation loss did not fall: {before:.3f} before, {after:.3f} after {time}. Try more examples, another learning rate, or fewer epochs.",
    "验证损失没有下降：之前 {before:.3f}，{time} 后 {after:.3f}。可尝试更多样本、不同的学习率或更少的轮数。",
)
ACCURACY = Words(
    "It is right on {after:.0%} of the kept-aside texts (accuracy); before, {before:.0%}.",
    "在预留文本上答对 {after:.0%}（准确率），之前为 {before:.0%}。",
)
ARIA = Words("Loss over steps. At step {step} the training loss is {loss}.", "损失曲线。第 {step} 步的训练损失为 {loss}。")


def view(elem_id: str) -> gr.HTML:
    """The component: a run id goes in, the browser does the rest."""
    gr.set_static_paths([PLOTLY.parent])
    script = (presets.ASSETS / "run.js").read_text(encoding="utf-8")
    return gr.HTML(
        showing(""),
        html_template='<div class="run-anchor"></div>',
        js_on_load=script,
        server_functions=[poll],
        elem_id=elem_id,
        apply_default_css=False,
    )


def showing(run_id: str, lang: str = "en") -> dict[str, str]:
    """The component's value for a run; empty shows nothing."""
    return {"run": run_id, "plotly": f"/gradio_api/file={PLOTLY}", "reconnecting": RECONNECTING.say(lang)}


def poll(asked: Any) -> dict[str, Any]:  # noqa: ANN401 - whatever a browser sends
    """What is new of a run: asked is [run id, byte offset, language], all of it checked; nothing is written.

    Points are [step, training loss or None, validation loss or None]; an answer holds at most MOST_BYTES of the file.
    """
    try:
        run_id, offset, lang = str(asked[0]), int(asked[1]), "zh" if asked[2] == "zh" else "en"
        run = runs.get(run_id)
        plan = run.plan
    except (RunNotFound, BadPlan, TypeError, ValueError, IndexError, KeyError):
        return {"gone": True}
    offset, points = _after(run, offset)
    status = runs.status(run)
    curve = [[point["step"], point.get("loss"), point.get("eval_loss")] for point in points if point.get("stage") == "train"]
    last = _latest(run)
    kind = "stopping" if launch.stopping(run) else "unlearned" if status.state == "stopped" and not runs.usable(run) else status.state
    more = _more(run, status, lang)
    fault = f"{status.what} {status.what_to_do}".strip() if status.state == "failed" else ""
    return {
        "offset": offset,
        "points": curve,
        "ended": status.state in runs.ENDED,
        "title": plan.name,
        "kind": kind,
        "state": STATES[kind].say(lang),
        "line": _line(status, last, lang),
        "about": ABOUT.say(lang, **_about(plan)),
        "more": more,
        "fault": fault,
        "percent": 100 if status.state == "done" else 100 * status.step / max(status.steps, 1),
        "aria": ARIA.say(lang, step=last.get("step", 0), loss=f"{last['loss']:.3f}" if "loss" in last else "–"),
        "words": {name: said.say(lang) for name, said in CURVES.items()},
    }


def _about(plan: Plan) -> dict[str, object]:
    """What the shown run was started with, whatever the fields above say by now."""
    card = presets.models().get(plan.model)
    method = presets.methods()[plan.method.name].name
    return {"method": method, "model": card.name if card else plan.model, "epochs": plan.training.epochs, "batch": plan.training.batch_size}


def _after(run: Run, offset: int) -> tuple[int, list[dict[str, Any]]]:
    """The whole lines after a byte offset, and the offset behind them; an offset beyond the file starts again."""
    size = run.points.stat().st_size
    start = offset if 0 <= offset <= size else 0
    with run.points.open("rb") as file:
        file.seek(start)
        chunk = file.read(MOST_BYTES)
    chunk = chunk[: chunk.rfind(b"\n") + 1]
    return start + len(chunk), [found for line in chunk.splitlines() if (found := runs.parse_point(line))]


def _latest(run: Run) -> dict[str, Any]:
    """The last point with a training loss; the line that is cut where the look begins is no point and drops out."""
    _, tail = _after(run, max(0, run.points.stat().st_size - 4096))
    return next((point for point in reversed(tail) if "loss" in point), {})


def _line(status: Status, last: dict[str, Any], lang: str) -> str:
    """One line: where the run is, how long it will take, how fast it is."""
    if status.state in runs.ENDED:
        return ""
    if status.stage == "fetch" and status.step >= status.steps > 0:
        return UNPACKING.say(lang)
    if status.state == "training" and not status.step:
        return FIRST_STEP.say(lang, steps=status.steps)
    parts = [STAGES[status.stage].say(lang, step=status.step, steps=status.steps)] if status.stage in STAGES else []
    if status.state == "training" and last:
        parts.append(EPOCH.say(lang, epoch=last["epoch"]))
        if status.seconds_left is not None:
            parts.append(LEFT.say(lang, time=forms.duration(status.seconds_left, lang)))
        parts.append(SPEED.say(lang, rate=last.get("tokens_per_second", 0)))
        parts.append(MEMORY.say(lang, gb=last.get("memory_gb", 0)))
    return " · ".join(parts)


def _more(run: Run, status: Status, lang: str) -> str:
    """What came out, once it has."""
    report = runs.report(run) if status.state in runs.ENDED else {}
    if not report:
        return ""
    before, after = report["before"]["loss"], report["after"]["loss"]
    said = LOWERED if after < before else NOT_LOWERED
    text = said.say(lang, before=before, after=after, step=report["best_step"], time=forms.duration(report["seconds"], lang))
    if "accuracy" in report["after"]:
        text = f"{ACCURACY.say(lang, after=report['after']['accuracy'], before=report['before']['accuracy'])} {text}"
    texts = report["texts"]
    if texts["cut"] or texts["dropped"]:
        text += " " + worker.LEFT_OUT.say(lang, cut=texts["cut"], length=texts["max_length"], dropped=texts["dropped"])
    return text
