"""What is taken home: every method with every task, every PEFT type, and other kinds of bases."""

from typing import NamedTuple

from peft_cases import METHOD, TYPES
from ways import WAYS, mark_sample


class Case(NamedTuple):
    """A run to take home: its method and task, and where they say something, PEFT type, base and target."""

    method: str
    task: str
    peft_type: str = ""
    base: str = ""
    target: str = ""

    def __str__(self) -> str:
        return "-".join(part for part in self if part)


PLAIN = [Case(*way) for way in WAYS]
PLAIN_SAMPLE = [Case(*way.values[0]) for way in mark_sample(WAYS) if not way.marks]
PEFT_TYPES = [Case("peft", task, peft_type) for peft_type in TYPES for task in METHOD.tasks]
# A base in 16 bits as most are, a classifier on a decoder, a base that brings its own pooling, and several
# labels for a text, or a number: each once in CI.
OTHERS = [
    Case("qlora", "chat", base="tiny-chat-16"),
    Case("peft", "classify", "prompt_tuning", "tiny-chat"),
    Case("lora", "classify", base="tiny-sentence"),
    Case("full", "classify", target="labels"),
    Case("lora", "classify", target="rating"),
]
MORE_OTHERS = [
    Case("lora", "chat", base="tiny-chat-16"),
    Case("lora", "classify", base="tiny-chat"),
    *(Case(method, "classify", base="tiny-sentence") for method in ("full", "qlora", "prefix", "qat")),
    *(Case("peft", "classify", peft_type, "tiny-sentence") for peft_type in ("ln_tuning", "prompt_tuning")),
    Case("lora", "classify", target="labels"),
    Case("peft", "classify", "ln_tuning", target="rating"),
]
# The kinds of PEFT that are merged, or saved, each in a way of its own.
SAMPLE = [
    *(Case("peft", "classify", peft_type) for peft_type in ("ln_tuning", "vera")),
    *(Case("peft", "chat", peft_type) for peft_type in ("adalora", "p_tuning")),
]
FAST = [*PLAIN_SAMPLE, *SAMPLE, *OTHERS]
THOROUGH = [case for case in (*PLAIN, *PEFT_TYPES, *MORE_OTHERS) if case not in FAST]
