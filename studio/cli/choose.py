"""`studio choose`: the six questions of the chooser in the terminal or from a file, and what they come to, in words or as JSON."""

import argparse
import json
import sys
from pathlib import Path
from typing import Any

import yaml

from studio import chooser, plan, presets
from studio.chooser import Choice, Question
from studio.chooser.texts import TEXTS
from studio.cli import estimate as estimate_command
from studio.cli.arguments import add_machine
from studio.errors import BadData
from studio.estimate.machines.catalogue import Machine
from studio.estimate.types import Estimate
from studio.i18n import Message, languages
from studio.storage import write_text

EXIT_OK, EXIT_NO_PLAN, EXIT_INVALID_INPUT = 0, 1, 2
TERMINAL_MESSAGES = TEXTS.terminal


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add what is known before the questions, and what becomes of the answer."""
    parser.add_argument(
        "--data", default="", metavar="FILE", help="a file, sample:NAME or dataset:ID; answers what it can"
    )
    add_machine(parser)
    parser.add_argument("--model", default="", help="the base model (default: one that suits)")
    parser.add_argument(
        "--answers",
        default="",
        metavar="FILE.yaml",
        help="the answers, such as `change: tone`, instead of asking",
    )
    parser.add_argument(
        "--json", action="store_true", help="everything that was decided, in both languages, as JSON"
    )
    parser.add_argument(
        "--write", default="", metavar="PLAN.yaml", help="write the plan here; never over another file"
    )


def run(options: argparse.Namespace) -> int:
    """Ask the questions, or take their answers from a file, and print what they come to."""
    return run_chooser(
        options.data, options.machine, options.model, options.answers, options.json, options.write
    )


def run_chooser(
    data: str = "",
    machine: str = "",
    model: str = "",
    answers_file: str = "",
    as_json: bool = False,
    target: str = "",
) -> int:
    """Answer the questions from the file `answers` or ask them here, print what they come to, and write the plan to `target`.

    Returns 0, 1 where `target` was asked for and the advice is not to train, 2 with a sentence on stderr where the call, the answers or
    the data are wrong. Raises BadPlan where the machine's name is wrong.
    """
    target_machine, source = (
        estimate_command.find_machine(machine),
        data if not data or data.startswith(("sample:", "dataset:")) else str(Path(data).resolve()),
    )
    try:
        _check_target(target)
        if not answers_file and not sys.stdin.isatty():
            raise BadData(
                TERMINAL_MESSAGES["no_terminal"],
                TERMINAL_MESSAGES["give_answers"],
                questions=_question_names(),
            )
        prefilled = chooser.prefill(source, target_machine, model=model)
        complete_answers = (
            chooser.validate_answers(_read_answers_file(answers_file, prefilled))
            if answers_file
            else _ask_all_questions(prefilled)
        )
        choice = chooser.choose(complete_answers, source, target_machine, model=model)
    except BadData as error:
        sys.stderr.write(" ".join(str(error).split()) + "\n")
        return EXIT_INVALID_INPUT
    values = choice_to_dict(choice, complete_answers, prefilled, target_machine)
    sys.stdout.write(
        (json.dumps(values, ensure_ascii=False, indent=1) if as_json else format_choice(choice)) + "\n"
    )
    if not target:
        return EXIT_OK
    if not choice.plan:
        sys.stderr.write(f"{TERMINAL_MESSAGES['no_plan'].render()} {TERMINAL_MESSAGES['follow'].render()}\n")
        return EXIT_NO_PLAN
    write_text(Path(target), plan.dump(choice.plan))
    sys.stderr.write(TERMINAL_MESSAGES["written"].render(path=target) + "\n")
    return EXIT_OK


def choice_to_dict(
    choice: Choice, answers: chooser.Answers, prefilled: chooser.Answers, machine: Machine
) -> dict[str, Any]:
    """Everything that was decided, as plain values; sentences in both languages, `prefilled` what nobody had to answer."""
    return {
        "answers": dict(answers),
        "prefilled": dict(prefilled),
        "machine": machine.id,
        "method": choice.method,
        "reasons": [_message_to_dict(reason) for reason in choice.reasons],
        "estimate": estimate_command.estimate_fields(choice.estimate) if choice.estimate else None,
        "lost": {name: _message_to_dict(explanation) for name, explanation in choice.rejections.items()},
        "advice": _message_to_dict(choice.advice) if choice.advice else None,
        "prompt": _message_to_dict(choice.prompt) if choice.prompt else None,
        "note": _message_to_dict(choice.note) if choice.note else None,
        "plan": choice.plan.model_dump(mode="json", exclude_none=True) if choice.plan else None,
    }


def format_choice(choice: Choice) -> str:
    """The same for the eyes."""
    cards = presets.methods()
    heading = (
        f"{cards[choice.method].name.render()} ({choice.method})"
        if choice.method
        else TERMINAL_MESSAGES["not_yet"].render()
    )
    lines = [
        heading,
        *(
            f"  {sentence.render()}"
            for sentence in (*choice.reasons, *((choice.advice,) if choice.advice else ()))
        ),
    ]
    lines += [f"  {choice.note.render()}"] if choice.note else []
    lines += ["", _format_estimate(choice.estimate)] if choice.estimate else []
    lines += (
        [
            "",
            TERMINAL_MESSAGES["others"].render(),
            *(f"  {name:<8} {explanation.render()}" for name, explanation in choice.rejections.items()),
        ]
        if choice.rejections
        else []
    )
    if choice.prompt:
        lines += [
            "",
            TERMINAL_MESSAGES["try_first"].render(),
            *(f"  | {line}" for line in choice.prompt.render().splitlines()),
        ]
    return "\n".join(lines)


def _format_estimate(estimated: Estimate) -> str:
    """An estimate in one line, every figure with its range."""
    share = (
        f"{estimated.trainable:,} / {estimated.total:,}"
        if estimated.trainable is not None and estimated.total
        else "?"
    )
    memory = (
        f"{estimated.memory_gb.low:.1f}-{estimated.memory_gb.high:.1f} GB" if estimated.memory_gb else "?"
    )
    minutes = f"{estimated.minutes.low:.1f}-{estimated.minutes.high:.1f} min" if estimated.minutes else "?"
    money = (
        f"{estimated.money.low:.2f}-{estimated.money.high:.2f} {estimated.currency}"
        if estimated.money
        else "–"
    )
    return TERMINAL_MESSAGES["figures"].render(share=share, memory=memory, minutes=minutes, money=money)


def _ask_all_questions(prefilled: chooser.Answers) -> dict[str, str]:
    """The answers as they are typed; Enter takes the one in brackets. Raises BadData where the input ends before."""
    return {
        question.id: _ask_question(number, question, prefilled.get(question.id, ""))
        for number, question in enumerate(chooser.QUESTIONS, 1)
    }


def _ask_question(number: int, question: Question, default: str) -> str:
    names = [name for name, _ in question.choices]
    choices = "".join(
        f"  {index} {name:<10} {description.render()}\n"
        for index, (name, description) in enumerate(question.choices, 1)
    )
    heading = f"\n{number}/{len(chooser.QUESTIONS)} {question.text.render()}\n  {question.why.render()}\n"
    sys.stderr.write(heading + choices)
    while True:
        sys.stderr.write(f"[{default}] " if default else "> ")
        sys.stderr.flush()
        line = sys.stdin.readline()
        if not line:
            raise BadData(
                TERMINAL_MESSAGES["unfinished"],
                TERMINAL_MESSAGES["give_answers"],
                questions=_question_names(),
            )
        typed = line.strip().lower() or default
        if typed.isdecimal() and 1 <= int(typed) <= len(names):
            return names[int(typed) - 1]
        if typed in names:
            return typed
        sys.stderr.write(
            TERMINAL_MESSAGES["not_a_choice"].render(count=len(names), names=", ".join(names)) + "\n"
        )


def _read_answers_file(path: str, prefilled: chooser.Answers) -> object:
    """The answers in a file over those that are filled in. Raises BadData where it cannot be read."""
    try:
        raw = yaml.safe_load(Path(path).read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        reason = " ".join(str(getattr(error, "strerror", None) or error).split())
        raise BadData(
            TERMINAL_MESSAGES["no_file"],
            TERMINAL_MESSAGES["give_answers"],
            path=path,
            why=reason,
            questions=_question_names(),
        ) from None
    return {**prefilled, **raw} if isinstance(raw, dict) else raw


def _question_names() -> str:
    return ", ".join(question.id for question in chooser.QUESTIONS)


def _check_target(target: str) -> None:
    """Raise BadData where a plan cannot be written there, before anything is asked."""
    if target and Path(target).exists():
        raise BadData(TERMINAL_MESSAGES["taken"], TERMINAL_MESSAGES["other_file"], path=target)
    if target and not Path(target).parent.is_dir():
        raise BadData(
            TERMINAL_MESSAGES["no_folder"],
            TERMINAL_MESSAGES["other_folder"],
            path=target,
            folder=Path(target).parent,
        )


def _message_to_dict(message: Message) -> dict[str, str]:
    return {language: message.render(language) for language in languages()}
