"""The live view of one run: what the browser asks for, and the component that asks."""

import time
from pathlib import Path
from typing import Any

import gradio as gr
import plotly

from studio import presets, runs
from studio.errors import BadPlan, RunNotFound
from studio.plan import Plan
from studio.runs import Run, Status
from studio.tabs import curves, forms, help, outcome
from studio.train import launch
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
    "failed": Words("Did not finish", "未能完成"),
    "stopping": Words("Stopping after this step", "本步结束后停止"),
}
STAGES: dict[str, Words] = {
    "queue": Words("starts by itself; runs ahead of it: {steps}", "轮到时自动开始；前面还有 {steps} 个训练"),
    "data": Words("reading the examples", "读取样本"),
    "fetch": Words("fetching the model, {step} of {steps} MB", "获取模型，{step} / {steps} MB"),
    "load": Words("loading the model", "加载模型"),
    "before": Words("measuring the base model on the kept-aside examples", "在验证集上评估基础模型"),
    "rows": Words("writing the examples to learn from", "生成用于学习的样本"),
    "alike": Words(
        "looking how alike the model's own answers begin, {step} of {steps} questions",
        "先看模型自己的回答开头有多相似，{step} / {steps} 个问题",
    ),
    "openings": Words("writing the model's own openings, {step} of {steps}", "生成模型自己的回答开头，{step} / {steps}"),
    "head": Words(
        "reading every pair once to give the reward model a good start, {step} of {steps}",
        "先把每个偏好对读一遍，给奖励模型一个好起点，{step} / {steps}",
    ),
    "bottom": Words("running the frozen part once over each example, {step} of {steps}", "让每个样本先过一遍冻结的层，{step} / {steps}"),
    "asking": Words("asking questions with known answers, {step} of {steps}", "用有标准答案的问题测试，{step} / {steps}"),
    "sft": Words("learning from the good answers (SFT), step {step} of {steps}", "照着示范回答学（SFT），第 {step} 步，共 {steps} 步"),
    "reward": Words(
        "learning which answers are better (reward model), step {step} of {steps}",
        "学习哪个回答更好（奖励模型），第 {step} 步，共 {steps} 步",
    ),
    "rl": Words("practising and being scored (RL), step {step} of {steps}", "练习并接受打分（RL），第 {step} 步，共 {steps} 步"),
    "dpo": Words("learning straight from the pairs (DPO), step {step} of {steps}", "直接从偏好对学习（DPO），第 {step} 步，共 {steps} 步"),
    "full_precision": Words(
        "training at full precision, to compare, step {step} of {steps}", "另用全精度训练一遍作对比，第 {step} 步，共 {steps} 步"
    ),
    "after": Words("measuring the tuned model on the kept-aside examples", "在验证集上评估微调后的模型"),
}
UNPACKING = Words("unpacking the model; once, about half a minute", "正在解压模型，只有第一次需要，约半分钟")
FIRST_STEP = Words("the first of {steps} steps; it takes longer than the others", "共 {steps} 步，正在做第 1 步（第 1 步比较慢）")
STEP_OF = Words("step {step} of {steps}", "第 {step} 步，共 {steps} 步")
RECONNECTING = label("Reconnecting…", "正在重新连接…")
ABOUT = Words("{method} on {model}", "{method} · {model}")
ROUNDS = Words("epochs: {epochs:g}, examples per step: {batch}", "{epochs:g} 轮，每步 {batch} 个样本")
GO_ON = label("Go on from where it was", "从中断处继续")
LATEST = label("Its latest answers while practising", "练习中的最新回答")
SCORE = label("score", "得分")
BEGINNING = Words("getting ready for the first step", "准备第一步")
EPOCH, LEFT = Words("epoch {epoch:.1f}", "已学 {epoch:.1f} 轮"), Words("about {time} left", "约剩 {time}")
LEFT_STAGE = Words("about {time} left in this stage", "本阶段约剩 {time}")
SPEED, MEMORY = Words("{rate:,.0f} tokens/s", "{rate:,.0f} token/秒"), Words("{gb:.1f} GB memory", "内存 {gb:.1f} GB")


def view(elem_id: str) -> gr.HTML:
    """The component: a run id goes in, the browser does the rest. It tells the wish to go on with the event `resume`."""
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


def showing(run_id: str, lang: str = "en") -> dict[str, Any]:
    """The component's value for a run; empty shows nothing. Each is new, so that the browser looks again at a run it knows."""
    fixed = {"reconnecting": RECONNECTING, "goOn": GO_ON, "latest": LATEST, "score": SCORE}
    said: dict[str, Any] = {name: words.say(lang) for name, words in fixed.items()}
    if run_id:
        said |= {"curves": help.curve_words(lang), "curveHeads": help.curve_heads(lang)}
    return {"run": run_id, "plotly": f"/gradio_api/file={PLOTLY}", "asked": time.time(), **said}


def poll(asked: Any) -> dict[str, Any]:
    """What is new of a run: asked is [run id, byte offset, language, file, samples], all of it checked; nothing is written.

    Points are [stage, step, measures]; an answer holds at most MOST_BYTES of the file. `file` tells the file of points apart from the
    one it replaces when a run goes on: where it changed, `restart` says that everything is sent again. `samples` is the size of the
    file of sample answers the browser knows.
    """
    try:
        run_id, offset, lang = str(asked[0]), int(asked[1]), "zh" if asked[2] == "zh" else "en"
        known, samples = str(asked[3]) if len(asked) > 3 else "", int(asked[4]) if len(asked) > 4 else 0
        run = runs.get(run_id)
        plan = run.plan
    except (RunNotFound, BadPlan, TypeError, ValueError, IndexError, KeyError):
        return {"gone": True}
    found = run.points.stat()
    restart = (known not in ("", str(found.st_ino)) or offset > found.st_size) and offset > 0
    offset, points = _after(run, 0 if restart else offset)
    status, report = runs.status(run), runs.report(run)
    size, latest = outcome.samples(run, 0 if restart else samples)
    kind = "stopping" if launch.stopping(run) else "unlearned" if status.state == "stopped" and not runs.usable(run) else status.state
    ended = status.state in runs.ENDED
    return {
        "file": str(found.st_ino),
        "restart": restart,
        "offset": offset,
        "points": [shown for point in points if (shown := curves.point(point))],
        "charts": curves.charts(plan, lang),
        "step": curves.STEP.say(lang),
        "ended": ended,
        "resumable": ended and runs.resumable(run),
        "title": plan.name,
        "kind": kind,
        "state": STATES[kind].say(lang),
        "line": _line(status, _latest(run), lang),
        "about": _about(plan, report, lang),
        "more": outcome.sentences(run, report, lang) if ended and report else outcome.noted(run, lang),
        "tables": outcome.tables(report, lang) if ended else [],
        "samples": latest,
        "sampled": size,
        "fault": status.fault(lang) if status.state == "failed" else "",
        "percent": 100 if status.state == "done" else 100 * status.step / max(status.steps, 1),
    }


def _about(plan: Plan, report: dict[str, Any], lang: str) -> str:
    """What the shown run was started with, whatever the fields above say by now."""
    card, method = presets.models().get(plan.model), presets.methods().get(plan.method.name)
    said = ABOUT.say(lang, method=method.name if method else plan.method.name, model=card.name if card else plan.model)
    training = {**plan.training.model_dump(), **(report.get("training") or {})}
    if not training["epochs"] or not training["batch_size"]:
        return said
    return f"{said} · {ROUNDS.say(lang, epochs=training['epochs'], batch=training['batch_size'])}"


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
        return FIRST_STEP.say(lang, steps=status.steps) if status.steps else BEGINNING.say(lang)
    said = STAGES.get(status.stage, STEP_OF if status.state == "training" else None)
    parts = [said.say(lang, step=status.step, steps=status.steps)] if said else []
    if status.state == "training" and last.get("stage") == status.stage:
        if status.stage == "train":
            parts.append(EPOCH.say(lang, epoch=last.get("epoch", 0)))
        if status.seconds_left is not None:
            left = LEFT if status.stage == "train" else LEFT_STAGE
            parts.append(left.say(lang, time=forms.duration(status.seconds_left, lang)))
        if last.get("tokens_per_second"):
            parts.append(SPEED.say(lang, rate=last["tokens_per_second"]))
        parts.append(MEMORY.say(lang, gb=last.get("memory_gb", 0)))
    return " · ".join(parts)
