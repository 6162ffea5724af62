"""Errors that say what happened, with the value, and what to do next."""

import errno
from collections.abc import Sequence
from dataclasses import dataclass, replace

from studio.words import LANGUAGES, Words, joined

IN_LOG = Words("Look into worker.log in the run's folder for the details.", "详情见这次训练的文件夹里的 worker.log。")
ANYWAY = Words(
    "Try again; if it happens again, report the sentence before this one.",
    "请再试一次；如果还是这样，请把前面这句话反馈给维护工作室的人。",
)


class StudioError(Exception):
    """Something a person can understand and act on; `what` happened and what `to_do` next."""

    def __init__(self, what: Words, to_do: Words, **values: object) -> None:
        self.what, self.to_do, self.values = what, to_do, values
        super().__init__(self.say())

    def sentences(self, language: str = "en") -> tuple[str, str]:
        """What happened, and what to do next."""
        return self.what.say(language, **self.values), self.to_do.say(language, **self.values)

    def say(self, language: str = "en") -> str:
        """Both sentences in one language."""
        return joined(self.sentences(language), language)


class BadData(StudioError):
    """An upload or a data set that cannot be used as it is."""


@dataclass(frozen=True)
class Problem:
    """One thing that is wrong with a plan: the key it is found at, what it is, and where the plan comes from."""

    key: str
    what: Words
    origin: str = ""

    def below(self, place: str) -> "Problem":
        """The same, its key below another one."""
        return replace(self, key=f"{place}.{self.key}")

    def say(self, language: str = "en") -> str:
        """In one line: origin, key and what it is."""
        return ": ".join(part for part in (self.origin, self.key, self.what.say(language)) if part)


class BadPlan(StudioError):
    """A plan with one or more problems; all of them are listed, in English as `problems`."""

    def __init__(self, found: Sequence[Problem | str]) -> None:
        self.found = tuple(Problem("", Words(one)) if isinstance(one, str) else one for one in found)
        self.problems = tuple(problem.say() for problem in self.found)
        super().__init__(
            Words("Problems in the plan: {count}\n{list}", "计划有 {count} 处问题：\n{list}"),
            Words("\nCorrect the named keys and start again.", "\n请改正上面列出的设置项，然后重新开始。"),
            count=len(self.problems),
            list=Words(*("\n".join(f"  - {problem.say(language)}" for problem in self.found) for language in LANGUAGES)),
        )


class ModelUnavailable(StudioError):
    """A base model that cannot be found, fetched or used."""


class RunNotFound(StudioError):
    """A run id that names no run."""


class NotPossible(StudioError):
    """A combination that cannot work, refused before anything starts."""


class OutOfRoom(StudioError):
    """No disk space left."""


class OutOfMemory(StudioError):
    """No memory left."""


# What torch, C++ and oneDNN say when they are given no memory.
SHORT_OF_MEMORY = ("can't allocate memory", "cannot allocate memory", "out of memory", "bad_alloc", "could not create a primitive")


def explain(error: BaseException, to_do: Words = ANYWAY) -> StudioError:
    """Turn any failure into one with a sentence; memory and disk are recognised by what torch, safetensors and the system say.

    `to_do` is what to do after one that nobody knows, such as where to look.
    """
    if isinstance(error, StudioError):
        return error
    if isinstance(error, KeyboardInterrupt):
        return StudioError(
            Words("The run was interrupted before it could keep what it had learned.", "训练被中断，没来得及保存学到的内容。"),
            Words(
                "Start it again; a single Ctrl-C stops it and keeps what was learned.",
                "请重新开始；只按一次 Ctrl-C 会停止并保留已学到的内容。",
            ),
        )
    text = str(error)
    low = text.lower()
    if isinstance(error, MemoryError) or any(said in low for said in SHORT_OF_MEMORY):
        return OutOfMemory(
            Words("The training needed more memory than this machine has free.", "训练需要的内存超过了这台机器的空闲内存。"),
            Words(
                "Choose a smaller batch, shorter texts or a smaller model, or close other programs, and start again.",
                "请减少每步的样本数、缩短文本、换小一点的模型，或关闭其他程序，然后重新开始。",
            ),
        )
    if (isinstance(error, OSError) and error.errno == errno.ENOSPC) or "os error 28" in low or "no space left" in low:
        return OutOfRoom(
            Words("The disk is full.", "磁盘已满。"),
            Words(
                "Free some space or choose another folder with --home, and start again.", "请腾出空间，或用 --home 换一个文件夹后重新开始。"
            ),
        )
    return StudioError(
        Words("The studio ran into something it does not know: {kind}: {text}", "遇到了未知的问题：{kind}：{text}"),
        to_do,
        kind=type(error).__name__,
        text=text.splitlines()[0][:300] if text else "",
    )
