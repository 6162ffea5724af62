"""`studio choose`: the six questions of the chooser in the terminal or from a file, and what they come to, in words or as JSON."""

import json
import sys
from pathlib import Path
from typing import Any

import yaml

from studio import plan, presets, wizard
from studio.errors import BadData
from studio.estimate import command
from studio.estimate.figures import Estimate
from studio.estimate.machines import Place
from studio.home import write
from studio.wizard import Choice, Question
from studio.wizard.texts import WORDS
from studio.words import Words

CHOSEN, NOT_WRITTEN, WRONG = 0, 1, 2
SAID = WORDS.terminal


def choose(data: str = "", machine: str = "", model: str = "", answers: str = "", as_json: bool = False, target: str = "") -> int:
    """Answer the questions from the file `answers` or ask them here, print what they come to, and write the plan to `target`.

    Returns 0, 1 where `target` was asked for and the advice is not to train, 2 with a sentence on stderr where the call, the answers or
    the data are wrong. Raises BadPlan where the machine's name is wrong.
    """
    place, source = command.named(machine), data if not data or data.startswith(("sample:", "dataset:")) else str(Path(data).resolve())
    try:
        _check_target(target)
        if not answers and not sys.stdin.isatty():
            raise BadData(SAID["no_terminal"], SAID["give_answers"], questions=_questions())
        filled = wizard.prefill(source, place, model=model)
        whole = wizard.checked(_from_file(answers, filled)) if answers else _asked(filled)
        found = wizard.choose(whole, source, place, model=model)
    except BadData as error:
        sys.stderr.write(" ".join(str(error).split()) + "\n")
        return WRONG
    told = as_values(found, whole, filled, place)
    sys.stdout.write((json.dumps(told, ensure_ascii=False, indent=1) if as_json else in_words(found)) + "\n")
    if not target:
        return CHOSEN
    if not found.plan:
        sys.stderr.write(f"{SAID['no_plan'].say()} {SAID['follow'].say()}\n")
        return NOT_WRITTEN
    write(Path(target), plan.dump(found.plan))
    sys.stderr.write(SAID["written"].say(path=target) + "\n")
    return CHOSEN


def as_values(found: Choice, answers: wizard.Answers, filled: wizard.Answers, place: Place) -> dict[str, Any]:
    """Everything that was decided, as plain values; sentences in both languages, `prefilled` what nobody had to answer."""
    return {
        "answers": dict(answers),
        "prefilled": dict(filled),
        "machine": place.id,
        "method": found.method,
        "reasons": [_both(one) for one in found.reasons],
        "estimate": command.in_fields(found.estimate) if found.estimate else None,
        "lost": {name: _both(why) for name, why in found.lost.items()},
        "advice": _both(found.advice) if found.advice else None,
        "prompt": _both(found.prompt) if found.prompt else None,
        "note": _both(found.note) if found.note else None,
        "plan": found.plan.model_dump(mode="json", exclude_none=True) if found.plan else None,
    }


def in_words(found: Choice) -> str:
    """The same for the eyes."""
    cards = presets.methods()
    head = f"{cards[found.method].name.say()} ({found.method})" if found.method else SAID["not_yet"].say()
    lines = [head, *(f"  {one.say()}" for one in (*found.reasons, *((found.advice,) if found.advice else ())))]
    lines += [f"  {found.note.say()}"] if found.note else []
    lines += ["", _figures(found.estimate)] if found.estimate else []
    lines += ["", SAID["others"].say(), *(f"  {name:<8} {why.say()}" for name, why in found.lost.items())] if found.lost else []
    if found.prompt:
        lines += ["", SAID["try_first"].say(), *(f"  | {line}" for line in found.prompt.say().splitlines())]
    return "\n".join(lines)


def _figures(one: Estimate) -> str:
    """An estimate in one line, every figure with its range."""
    share = f"{one.trainable:,} / {one.total:,}" if one.trainable is not None and one.total else "?"
    memory = f"{one.memory_gb.low:.1f}-{one.memory_gb.high:.1f} GB" if one.memory_gb else "?"
    minutes = f"{one.minutes.low:.1f}-{one.minutes.high:.1f} min" if one.minutes else "?"
    money = f"{one.money.low:.2f}-{one.money.high:.2f} {one.currency}" if one.money else "–"
    return SAID["figures"].say(share=share, memory=memory, minutes=minutes, money=money)


def _asked(filled: wizard.Answers) -> dict[str, str]:
    """The answers as they are typed; Enter takes the one in brackets. Raises BadData where the input ends before."""
    return {one.id: _answer(number, one, filled.get(one.id, "")) for number, one in enumerate(wizard.QUESTIONS, 1)}


def _answer(number: int, question: Question, default: str) -> str:
    names = [name for name, _ in question.choices]
    choices = "".join(f"  {place} {name:<10} {said.say()}\n" for place, (name, said) in enumerate(question.choices, 1))
    head = f"\n{number}/{len(wizard.QUESTIONS)} {question.asked.say()}\n  {question.why.say()}\n"
    sys.stderr.write(head + choices)
    while True:
        sys.stderr.write(f"[{default}] " if default else "> ")
        sys.stderr.flush()
        line = sys.stdin.readline()
        if not line:
            raise BadData(SAID["unfinished"], SAID["give_answers"], questions=_questions())
        typed = line.strip().lower() or default
        if typed.isdecimal() and 1 <= int(typed) <= len(names):
            return names[int(typed) - 1]
        if typed in names:
            return typed
        sys.stderr.write(SAID["not_a_choice"].say(count=len(names), names=", ".join(names)) + "\n")


def _from_file(path: str, filled: wizard.Answers) -> object:
    """The answers in a file over those that are filled in. Raises BadData where it cannot be read."""
    try:
        raw = yaml.safe_load(Path(path).read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        why = " ".join(str(getattr(error, "strerror", None) or error).split())
        raise BadData(SAID["no_file"], SAID["give_answers"], path=path, why=why, questions=_questions()) from None
    return {**filled, **raw} if isinstance(raw, dict) else raw


def _questions() -> str:
    return ", ".join(one.id for one in wizard.QUESTIONS)


def _check_target(target: str) -> None:
    """Raise BadData where a plan cannot be written there, before anything is asked."""
    if target and Path(target).exists():
        raise BadData(SAID["taken"], SAID["other_file"], path=target)
    if target and not Path(target).parent.is_dir():
        raise BadData(SAID["no_folder"], SAID["other_folder"], path=target, folder=Path(target).parent)


def _both(said: Words) -> dict[str, str]:
    return {"en": said.en, "zh": said.zh or said.en}
