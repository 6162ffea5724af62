"""Errors that say what happened, with the value, and what to do next."""

import errno
from collections.abc import Sequence
from dataclasses import dataclass, replace

from studio.i18n import SENTENCE_SEPARATOR, Message, join_messages, join_sentences

SEE_WORKER_LOG = Message("Look into worker.log in the run's folder for the details.")
RETRY_OR_REPORT = Message("Try again; if it happens again, report the sentence before this one.")


class StudioError(Exception):
    """Something a person can act on: what happened (`message`), and what to do next (`hint`)."""

    def __init__(self, message: Message, hint: Message, **values: object) -> None:
        self.message, self.hint = message.format(**values), hint.format(**values)
        super().__init__(self.render())

    def sentences(self, language: str = "en") -> tuple[str, str]:
        """What happened, and what to do next."""
        return self.message.render(language), self.hint.render(language)

    def to_message(self) -> Message:
        """Both sentences as one message."""
        return join_messages([self.message, self.hint], SENTENCE_SEPARATOR)

    def render(self, language: str = "en") -> str:
        """Both sentences in one language."""
        return join_sentences(self.sentences(language), language)


class BadData(StudioError):
    """An upload or a data set that cannot be used as it is."""


@dataclass(frozen=True)
class Problem:
    """One thing that is wrong with a plan.

    Attributes:
        key: The key with the problem, such as `training.epochs`; empty for the plan itself.
        message: What it is.
        origin: The file of the plan.
    """

    key: str
    message: Message
    origin: str = ""

    def with_prefix(self, prefix: str) -> "Problem":
        """The same, its key below another one."""
        return replace(self, key=f"{prefix}.{self.key}")

    def as_list_item(self) -> Message:
        """One line of a list of problems."""
        parts = [part for part in (self.origin, self.key, self.message) if part]
        return Message("  - {problem}").format(problem=join_messages(parts, ": "))

    def render(self, language: str = "en") -> str:
        """In one line: origin, key and what it is."""
        return ": ".join(part for part in (self.origin, self.key, self.message.render(language)) if part)


class BadPlan(StudioError):
    """A plan with one or more problems: all as `plan_problems`, and in English as `problems`."""

    def __init__(self, problems: Sequence[Problem | str]) -> None:
        self.plan_problems = tuple(
            Problem("", Message(item)) if isinstance(item, str) else item for item in problems
        )
        self.problems = tuple(problem.render() for problem in self.plan_problems)
        super().__init__(
            Message("Problems in the plan: {count}\n{list}"),
            Message("\nCorrect the named keys and start again."),
            count=len(self.problems),
            list=join_messages([problem.as_list_item() for problem in self.plan_problems], "\n"),
        )


class ModelUnavailable(StudioError):
    """A base model that cannot be found, fetched or used."""


class RunNotFound(StudioError):
    """A run id that names no run."""


class DamagedFile(StudioError):
    """A file of a run that cannot be read as what it is."""


class NotPossible(StudioError):
    """A combination that cannot work, refused before anything starts."""


class OutOfDiskSpace(StudioError):
    """No disk space left."""


class OutOfMemory(StudioError):
    """No memory left."""


MAX_ERROR_CHARACTERS = 300
# What safetensors and the system say when the disk is full.
DISK_FULL_MARKERS = ("os error 28", "no space left")
# What the system says of a folder that can only be read, or belongs to someone else.
CLOSED_TO_US = (errno.EROFS, errno.EACCES, errno.EPERM)
# What it says where something else stands in the place of a file.
IN_THE_WAY = (errno.EISDIR, errno.ENOTDIR, errno.ELOOP)
OBSTRUCTED = Message("{path} is not the file that it should be: {why}.")
OBSTRUCTED_TO_DO = Message("Move it away, and try again.")
NOT_WRITABLE = Message("The studio may not use {path}: {why}.")
NOT_WRITABLE_TO_DO = Message("Allow writing there, or keep the studio's files elsewhere with --home.")
# What torch, C++ and oneDNN say when they get no memory.
OUT_OF_MEMORY_MARKERS = (
    "can't allocate memory",
    "cannot allocate memory",
    "out of memory",
    "bad_alloc",
    "could not create a primitive",
)


def explain(error: BaseException, hint: Message = RETRY_OR_REPORT) -> StudioError:
    """Turn any failure into one with a sentence.

    Memory and disk are recognised by what torch, safetensors and the system say.

    Args:
        error: What went wrong.
        hint: What to do after an error that nobody knows, such as where to look.
    """
    if isinstance(error, StudioError):
        return error
    if isinstance(error, KeyboardInterrupt):
        return StudioError(
            Message("The run was interrupted before it could keep what it had learned."),
            Message("Start it again; a single Ctrl-C stops it and keeps what was learned."),
        )
    if _is_out_of_memory(error):
        return OutOfMemory(
            Message("The training needed more memory than this machine has free."),
            Message(
                "Choose a smaller batch, shorter texts or a smaller model, or close other programs, and "
                "start again."
            ),
        )
    if _is_disk_full(error):
        return OutOfDiskSpace(
            Message("The disk is full."),
            Message("Free some space or choose another folder with --home, and start again."),
        )
    if isinstance(error, OSError) and error.errno in CLOSED_TO_US:
        return NotPossible(NOT_WRITABLE, NOT_WRITABLE_TO_DO, path=error.filename or "?", why=error.strerror)
    if isinstance(error, OSError) and error.errno in IN_THE_WAY:
        return NotPossible(OBSTRUCTED, OBSTRUCTED_TO_DO, path=error.filename or "?", why=error.strerror)
    first_line = next(iter(str(error).splitlines()), "")
    return StudioError(
        Message("The studio ran into something it does not know: {kind}: {text}"),
        hint,
        kind=type(error).__name__,
        text=first_line[:MAX_ERROR_CHARACTERS],
    )


def is_known(error: BaseException) -> bool:
    """Whether the studio knows what went wrong; what it does not know need not come again."""
    return isinstance(error, StudioError) or type(explain(error)) is not StudioError


def _is_out_of_memory(error: BaseException) -> bool:
    text = str(error).lower()
    return isinstance(error, MemoryError) or any(marker in text for marker in OUT_OF_MEMORY_MARKERS)


def _is_disk_full(error: BaseException) -> bool:
    if isinstance(error, OSError) and error.errno == errno.ENOSPC:
        return True
    text = str(error).lower()
    return any(marker in text for marker in DISK_FULL_MARKERS)
