"""What an estimate says: a range for every figure, what it consists of, and whether the run fits."""

from dataclasses import dataclass, field
from typing import Literal

from studio.words import Words

# How an estimate came about, the roughest first: the closed form; a traced step; either with this machine's own measured rates.
Level = Literal["formula", "traced"]
Fit = Literal["yes", "tight", "no", "unknown"]


@dataclass(frozen=True)
class Range:
    """A figure that is not known exactly; nine of ten should lie between `low` and `high`."""

    low: float
    likely: float
    high: float

    def times(self, factor: float) -> "Range":
        """The same range in another unit."""
        return Range(self.low * factor, self.likely * factor, self.high * factor)

    def holds(self, value: float) -> bool:
        """Whether a value lies within."""
        return self.low <= value <= self.high


def around(likely: float, spread: float) -> Range:
    """From likely ÷ spread to likely × spread."""
    return Range(likely / spread, likely, likely * spread)


@dataclass(frozen=True)
class Estimate:
    """What one method would need for a plan on a machine (`place`, its id); None stands where something is missing, which `missing` names.

    `parts` (GB) are those of the likely peak, by the names in PARTS; `stretches` (minutes) those of the likely time, by phase.
    `room_gb` is what the machine has for a run. `money` is in `currency`. `corrected` says by what earlier runs made it multiply "minutes"
    and "memory_gb", `stamp` with which measurement of the machine it was made (epoch, s; 0: by its specification).
    """

    method: str
    trainable: int | None = None
    total: int | None = None
    memory_gb: Range | None = None
    parts: dict[str, float] = field(default_factory=dict)
    minutes: Range | None = None
    stretches: dict[str, float] = field(default_factory=dict)
    money: Range | None = None
    currency: str = "USD"
    watt_hours: Range | None = None
    disk_mb: float | None = None
    fits: Fit = "unknown"
    room_gb: float | None = None
    why_not: Words | None = None
    missing: tuple[Words, ...] = ()
    level: Level = "formula"
    stamp: float = 0.0
    corrected: dict[str, float] = field(default_factory=dict)
    place: str = ""

    @property
    def measured(self) -> bool:
        """Whether it rests on this machine's own rates."""
        return self.stamp > 0

    @property
    def largest(self) -> str:
        """The part that takes the most memory; empty where none is known."""
        return max(self.parts, key=lambda name: self.parts[name], default="")


TWO_CLASSES = Words("how many classes there are: until the data says it, two are assumed", "类别数（数据未说明前按两类计算）")
# The parts of memory, in plain words first.
PARTS = {
    "runtime": Words("the program itself (runtime)", "程序本身（运行时）"),
    "model": Words("the model (weights)", "模型本身（权重）"),
    "beside": Words("other models held meanwhile (reference, reward model)", "同时保留的其他模型（参考模型、奖励模型）"),
    "gradients": Words("the direction of every change (gradients)", "每处改动的方向（梯度）"),
    "optimiser": Words("the memory of past steps (optimiser)", "对过往步骤的记忆（优化器）"),
    "activations": Words("intermediate results kept for learning (activations)", "为学习保留的中间结果（激活值）"),
    "scores": Words("scores for every word of the vocabulary (logits)", "词表中每个词的得分（logits）"),
    "passing": Words("intermediate results in passing (temporaries)", "临时的中间结果"),
    "written": Words("what has been read and written so far (KV cache)", "已读写内容的缓存（KV cache）"),
    "slack": Words("memory that is held but not in use (fragmentation)", "已占用但未使用的内存（碎片）"),
}
