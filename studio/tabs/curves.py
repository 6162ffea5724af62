"""Which curves a run has: one chart for each stage and measure, in order, with words for their axes."""

from typing import Any, NamedTuple

from studio import methods
from studio.errors import NotPossible
from studio.plan import Plan
from studio.words import Words

STEP = Words("step", "步")


class Curve(NamedTuple):
    """One line of a chart: which key of a point it shows, what it is called, and whether it is a check on kept-aside examples."""

    key: str
    name: Words
    check: bool


class Measure(NamedTuple):
    """One chart: what its height means, and its lines."""

    axis: Words
    curves: tuple[Curve, ...]


MEASURES: dict[str, Measure] = {
    "loss": Measure(
        Words("loss (lower is better)", "损失（越低越好）"),
        (
            Curve("loss", Words("training loss", "训练损失"), False),
            Curve("eval_loss", Words("validation loss", "验证损失"), True),
        ),
    ),
    "accuracy": Measure(
        Words("share of kept-aside texts sorted rightly (accuracy)", "验证集文本的分类准确率（accuracy）"),
        (Curve("eval_accuracy", Words("accuracy", "准确率"), True),),
    ),
    "pairs": Measure(
        Words("share of kept-aside pairs ranked rightly (accuracy)", "验证集偏好对的判断准确率（accuracy）"),
        (Curve("eval_accuracy", Words("accuracy", "准确率"), True),),
    ),
    "reward": Measure(
        Words("score of its answers (reward, higher is better)", "回答得分（reward，越高越好）"),
        (Curve("reward", Words("reward", "奖励"), False),),
    ),
    "kl": Measure(
        Words("distance from where it started (KL)", "与起点的距离（KL）"),
        (Curve("kl", Words("KL", "KL"), False),),
    ),
    "answer_length": Measure(
        Words("length of its answers (tokens)", "回答长度（token）"),
        (Curve("answer_length", Words("tokens", "token 数"), False),),
    ),
}
# Stage -> what it is called, and its charts. The order is that in which a run goes through them.
STAGES: dict[str, tuple[Words, tuple[str, ...]]] = {
    "sft": (Words("Learning from the good answers (SFT)", "照着示范回答学（SFT）"), ("loss",)),
    "reward": (Words("Learning which answers are better (reward model)", "学习哪个回答更好（奖励模型）"), ("loss", "pairs")),
    "rl": (Words("Practising and being scored (RL)", "练习并接受打分（RL）"), ("reward", "kl", "answer_length")),
    "dpo": (Words("Learning straight from the pairs (DPO)", "直接从偏好对学习（DPO）"), ("loss", "pairs")),
    "full_precision": (Words("At full precision, to compare", "全精度训练，作为对比"), ("loss",)),
    "train": (Words("Training", "训练"), ("loss",)),
}
KEYS = tuple(dict.fromkeys(curve.key for measure in MEASURES.values() for curve in measure.curves))
WHILE_ROUNDING = Words("With rounded weights (quantisation-aware)", "用量化后的权重训练（量化感知）")


def charts(plan: Plan, lang: str) -> list[dict[str, Any]]:
    """The charts a run of this plan can have, in order, as the browser draws them; one without points is not shown there."""
    try:
        own = methods.get(plan.method.name).stages
    except NotPossible:  # a run of a method that is no longer there
        own = ("train",)
    several = len(own) > 1
    found = []
    for stage, (title, measures) in STAGES.items():
        if stage not in own and not (stage == "dpo" and "rl" in own):
            continue
        if stage == "train" and several:
            title = WHILE_ROUNDING
        if stage in ("train", "full_precision") and plan.task == "classify":
            measures = (*measures, "accuracy")
        for place, name in enumerate(measures):  # two stand side by side; of three, the first above the others
            half = len(measures) == 2 or place > 0
            found.append(_chart(stage, name, title.say(lang) if several and not place else "", half, lang))
    return found


def _chart(stage: str, name: str, title: str, half: bool, lang: str) -> dict[str, Any]:
    measure = MEASURES[name]
    lines = [{"key": curve.key, "name": curve.name.say(lang), "check": curve.check} for curve in measure.curves]
    return {
        "id": f"{stage}-{name}",
        "stage": stage,
        "title": title,
        "axis": measure.axis.say(lang),
        "half": half,
        "curves": lines,
    }


def point(found: dict[str, Any]) -> list[Any] | None:
    """A measured point as it is sent: stage, step and the measures that are drawn; None where nothing of it is."""
    shown = {key: round(found[key], 5) for key in KEYS if isinstance(found.get(key), int | float)}
    if found.get("stage") not in STAGES or not isinstance(found.get("step"), int) or not shown:
        return None
    return [found["stage"], found["step"], shown]
