"""RLHF: learn from examples, learn from choices which answers are better, then practise and be scored by what was learned.

The three stages of Ouyang et al. (2022), with a policy gradient that needs no critic: RLOO (Ahmadian et al. 2024) or GRPO (Shao et al.
2024). DPO (Rafailov et al. 2023) is the short cut that learns from the choices directly.
"""

from typing import Any

from studio.errors import Problem
from studio.home import home
from studio.methods import _adapter, _rewards, _rlhf_phases, _rounds, _whole, lora
from studio.methods.base import Footprint, Job, Knob, Method, Settings
from studio.models.shape import ModelShape
from studio.plan import Task
from studio.words import Words, label

KNOBS = (
    Knob(
        "way",
        label("How the model learns from the scores", "模型如何从打分中学习"),
        label(
            "Practice by scores compares several of the model's own answers to a question (RLOO, or GRPO, which also evens out the scores). The short cut learns from your pairs directly, without scores (DPO): quicker and steadier, and a good first try.",
            "“按打分练习”会比较模型对同一问题的多个回答（RLOO，或会把分数归一化的 GRPO）。“捷径”直接从偏好对学习，不需要打分（DPO）：更快更稳，适合先试。",
        ),
        "rloo",
        "choice",
        choices=(
            ("rloo", label("Practise by scores (RLOO)", "按打分练习（RLOO）")),
            ("grpo", label("Practise by evened-out scores (GRPO)", "按归一化打分练习（GRPO）")),
            ("dpo", label("The short cut: straight from pairs (DPO)", "捷径：直接从偏好对学习（DPO）")),
        ),
    ),
    Knob(
        "reward",
        label("What a good answer is (reward)", "什么是好回答（奖励 reward）"),
        label(
            "From your data: a scoring model learned from your pairs (reward model); with examples alone, answers about as long as yours. Or a rule that is checked in each answer.",
            "由数据决定：有偏好对，就训练一个奖励模型来打分；只有示范回答，就奖励长度与之相近的回答。也可以选一条规则，逐个检查回答。",
        ),
        "data",
        "choice",
        choices=(
            ("data", label("From your data", "由数据决定")),
            ("model", label("Learned from your pairs (reward model)", "从偏好对学习（奖励模型）")),
            ("contains", label("Contains words", "包含某些词")),
            ("matches", label("Matches a pattern (regular expression)", "符合模式（正则表达式）")),
            ("length", label("Has a length", "达到某个长度")),
            ("json", label("Is valid JSON", "是合法的 JSON")),
        ),
    ),
    Knob(
        "reward_text",
        label("The words or the pattern", "要包含的词或模式"),
        label(
            "Words separated by commas; each one found earns its share. Or a pattern that must be found in the answer; ^ and $ stand for its ends.",
            "填词时用逗号隔开，每命中一个就多得一份分。填模式时，回答里必须有与之匹配的内容；^ 和 $ 表示开头和结尾。",
        ),
        "",
        "text",
        high=200,
    ),
    Knob(
        "reward_length",
        label("The length to aim at, in words", "目标长度（词数）"),
        label(
            "0 takes the usual length of your example answers. A Chinese character counts as a word.",
            "0 表示取示范回答的常见长度。一个汉字算一个词。",
        ),
        0,
        "whole",
        0,
        1000,
        first=False,
    ),
    Knob(
        "kl",
        label("How closely it must stay to its starting point (KL)", "把模型拉回起点的力度（KL）"),
        label(
            "What a step away from the fine-tuned model costs. Too little, and the model finds answers that score high and read badly (reward hacking); too much, and nothing changes.",
            "偏离 SFT 后的模型要扣多少分。太小，模型会钻空子：得分高却读起来差（reward hacking）；太大则几乎不变。",
        ),
        0.05,
        "number",
        0,
        1,
    ),
    Knob(
        "steps",
        label("How many steps the last stage takes", "最后一个阶段训练多少步"),
        label(
            "Writing answers takes most of the time: each step writes questions × answers of them.",
            "大部分时间花在写回答上：每步要写“问题数 × 回答数”个。",
        ),
        40,
        "whole",
        1,
        10_000,
    ),
    Knob(
        "rank",
        label("How far the model may change in each stage (rank)", "每个阶段模型可以改变多少（秩 rank）"),
        label(
            "Each stage learns two thin matrices beside each of the model's (LoRA) and adds them in at its end.",
            "每个阶段都在模型的矩阵旁学两个小矩阵（LoRA），结束时并入模型。",
        ),
        16,
        "whole",
        1,
        256,
        first=False,
    ),
    Knob(
        "start_from",
        label("Go on from an earlier RLHF run (iterate)", "从之前的 RLHF 训练继续（迭代）"),
        label(
            "The id of that run. Its model is taken instead of fine-tuning anew, and its reward model learns on with your new pairs. Empty: from the base.",
            "那次训练的编号。直接用它的模型，不再重新微调；它的奖励模型用新的偏好对接着学。留空则从基础模型开始。",
        ),
        "",
        "text",
        high=32,
        first=False,
    ),
    Knob(
        "sft",
        label("Fine-tune on the good answers first (SFT)", "先用示范回答微调（SFT）"),
        label(
            "Worth it unless the model already answers in the right manner. Switched off, the base itself is where practice starts.",
            "建议打开，除非模型本来就答得合适。关闭后，直接从基础模型开始练习。",
        ),
        True,
        "switch",
        first=False,
    ),
    Knob(
        "answers",
        label("Answers compared per question", "每个问题比较几个回答"),
        label(
            "An answer is good when it scores above the others to its question. More are steadier and take longer.",
            "高于同一问题其他回答的得分才算好。数量越多越稳，也越慢。",
        ),
        4,
        "whole",
        2,
        64,
        first=False,
    ),
    Knob(
        "questions",
        label("Questions per step", "每步的问题数"),
        label("More make a step steadier and longer.", "越多每步越稳，也越慢。"),
        4,
        "whole",
        1,
        256,
        first=False,
    ),
    Knob(
        "answer_tokens",
        label("Longest answer in practice, in tokens", "练习时回答的最大长度（token）"),
        label(
            "Longer answers are cut off here and scored as they stand; the time grows with it. 0 goes by your example answers: at most 64, or 256 where the reward is a length.",
            "超出部分会被截断后打分；时间随之增长。0 表示参照示范回答：最多 64；若奖励看长度，则最多 256。",
        ),
        0,
        "whole",
        0,
        4096,
        first=False,
    ),
    Knob(
        "reward_epochs",
        label("How often the reward model sees each pair (epochs)", "奖励模型把每个偏好对看几遍（轮数 epochs）"),
        label(
            "The state that ranks the kept-aside pairs best is kept. If a run is stopped, it goes on at the beginning of the unfinished stage.",
            "保留在验证集偏好对上判断最准的检查点。停止后再继续，会从没做完的阶段重新开始。",
        ),
        1,
        "number",
        0.1,
        50,
        first=False,
    ),
    Knob(
        "reward_rate",
        label("How big the reward model's steps are (learning rate)", "奖励模型每一步迈多大（learning rate）"),
        label("0 takes 1e-4; the reward model starts close to its goal.", "0 表示 1e-4；奖励模型起点已接近目标。"),
        0,
        "number",
        0,
        0.1,
        first=False,
    ),
    Knob(
        "last_rate",
        label("How big the last stage's steps are (learning rate)", "最后一个阶段每一步迈多大（learning rate）"),
        label("0 takes the value that suits the model's size.", "0 表示使用适合模型大小的值。"),
        0,
        "number",
        0,
        0.1,
        first=False,
    ),
)

FOLLOWS = Words("These are the steps of the first stage; after it: {stages}.", "以上是第一个阶段的步数；之后还有：{stages}。")
REWARD_MODEL = Words("a reward model that learns from the pairs", "用偏好对训练奖励模型")
PRACTICE = Words("{steps} steps of practice", "{steps} 步练习")
ON_PAIRS = Words("the training on the pairs", "直接用偏好对训练")
AND = Words("{one}, then {other}", "{one}，然后 {other}")


def footprint(shape: ModelShape, settings: Settings, labels: int) -> Footprint:
    """As LoRA on all matrices: each stage trains as many numbers; the reward model has one score more for each hidden number."""
    return lora.footprint(shape, lora.of_rank(int(settings["rank"])), labels)


def attach(model: Any, settings: Settings, task: Task) -> Any:
    """The model with an untrained LoRA, ready for the supervised stage."""
    return lora.attach(model, lora.of_rank(int(settings["rank"])), task)


NO_PAIRS = Words(
    "dpo learns from pairs of a better and a worse answer, which the task {task} does not have; choose rloo",
    "dpo 从一好一差的偏好对学习，而任务 {task} 没有偏好对；请选择 rloo",
)
NO_LEASH = Words(
    "dpo measures what it learns by its distance from the starting point; expected above 0, but got 0",
    "dpo 用与起点的距离来衡量学到的内容：应大于 0，实际是 0",
)
NO_PLACE = Words(
    "the model reads and writes {context} tokens in all; expected less, but got {got}",
    "模型读写总共 {context} 个 token：应小于它，实际是 {got}",
)


def check(settings: Settings, shape: ModelShape | None, task: Task) -> list[Problem]:
    """What does not go together, one for each setting."""
    found, way, what, earlier = [], settings["way"], _rewards.chosen(settings, task), str(settings["start_from"])
    if way == "dpo":
        if task != "prefer":
            found.append(Problem("way", NO_PAIRS.filled(task=task)))
        if not settings["kl"]:
            found.append(Problem("kl", NO_LEASH))
    elif what == "model":
        if task != "prefer" and not earlier:
            found.append(Problem("reward", _rewards.NO_MODEL.filled(task=task)))
    elif said := _rewards.problem(what, str(settings["reward_text"])):
        found.append(Problem("reward_text", said))
    if way != "dpo" and what == "length" and int(settings["reward_length"]) > int(settings["answer_tokens"]) > 0:
        found.append(Problem("reward_length", _rewards.TOO_LONG.filled(words=settings["reward_length"], tokens=settings["answer_tokens"])))
    if shape and way != "dpo" and int(settings["answer_tokens"]) >= shape.context:
        found.append(Problem("answer_tokens", NO_PLACE.filled(context=shape.context, got=settings["answer_tokens"])))
    unfit = _rounds.unfit(home() / "runs", earlier, shape) if earlier else None
    return [*found, *([Problem("start_from", unfit)] if unfit else [])]


def follows(settings: Settings, task: Task) -> Words:
    """The stages after the supervised one, whose steps the plan counts."""
    if settings["way"] == "dpo":
        return FOLLOWS.filled(stages=ON_PAIRS)
    practice = PRACTICE.filled(steps=settings["steps"])
    judged = task == "prefer" and _rewards.chosen(settings, task) == "model"
    return FOLLOWS.filled(stages=AND.filled(one=REWARD_MODEL, other=practice) if judged else practice)


def train(job: Job) -> Any:
    """All stages, in order; returns the plain model with everything learned in its own matrices.

    A stopped run goes on at the beginning of the unfinished stage; only the supervised stage goes on where it was.
    """
    from studio.methods import _preference  # noqa: PLC0415 - loads torch

    return _preference.train(job)


METHOD = Method(
    name="rlhf",
    tasks=("chat", "prefer"),
    knobs=KNOBS,
    exports=("merged",),
    weights="frozen",
    learning_rate=_adapter.learning_rate,
    footprint=footprint,
    touch=_rlhf_phases.touch,
    phases=_rlhf_phases.phases,
    attach=attach,
    train=train,
    save=_whole.save,
    load=_whole.load,
    merge=_whole.load,
    check=check,
    follows=follows,
    resumes=False,
    stages=("sft", "reward", "rl"),
)
