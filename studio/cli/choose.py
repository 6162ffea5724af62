"""`studio choose`: the chooser's questions in the terminal or from a file, and the choice as text or JSON."""

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
    """Answer the questions from a file or ask them here, print the choice, and write its plan.

    Args:
        data: A file, sample:NAME or dataset:ID; "" for none.
        machine: A machine of presets/machines.yaml; "" for this one.
        model: The base model; "" for one that suits.
        answers_file: A YAML file with the answers; "" asks them in the terminal.
        as_json: Whether everything that was decided is printed as JSON.
        target: Where the plan is written; "" writes none.

    Returns:
        0; 1 where a plan was to be written and the advice is not to train; 2 with a sentence on stderr where
        the call, the answers or the data are wrong.

    Raises:
        BadPlan: The machine's name is wrong.
    """
    target_machine = estimate_command.find_machine(machine)
    is_file = data and not data.startswith(("sample:", "dataset:"))
    source = str(Path(data).resolve()) if is_file else data
    try:
        _check_target(target)
        if not answers_file and not sys.stdin.isatty():
            raise BadData(
                TERMINAL_MESSAGES["no_terminal"],
                TERMINAL_MESSAGES["give_answers"],
                questions=_question_names(),
            )
        prefilled = chooser.prefill(source, target_machine, model=model)
        if answers_file:
            answers = chooser.validate_answers(_read_answers_file(answers_file, prefilled))
        else:
            answers = _ask_all_questions(prefilled)
        choice = chooser.choose(answers, source, target_machine, model=model)
    except BadData as error:
        sys.stderr.write(" ".join(str(error).split()) + "\n")
        return EXIT_INVALID_INPUT
    if as_json:
        values = choice_to_dict(choice, answers, prefilled, target_machine)
        sys.stdout.write(json.dumps(values, ensure_ascii=False, indent=1) + "\n")
    else:
        sys.stdout.write(format_choice(choice) + "\n")
    return _write_plan(choice, target) if target else EXIT_OK


def _write_plan(choice: Choice, target: str) -> int:
    """Write the plan of a choice; returns the exit code."""
    if not choice.plan:
        sys.stderr.write(f"{TERMINAL_MESSAGES['no_plan'].render()} {TERMINAL_MESSAGES['follow'].render()}\n")
        return EXIT_NO_PLAN
    write_text(Path(target), plan.dump(choice.plan))
    sys.stderr.write(TERMINAL_MESSAGES["written"].render(path=target) + "\n")
    return EXIT_OK


def choice_to_dict(
    choice: Choice, answers: chooser.Answers, prefilled: chooser.Answers, machine: Machine
) -> dict[str, Any]:
    """Everything that was decided, as plain values; sentences in each language.

    `prefilled` are the answers that nobody had to give.
    """
    return {
        "answers": dict(answers),
        "prefilled": dict(prefilled),
        "machine": machine.id,
        "method": choice.method,
        "reasons": [_translations(reason) for reason in choice.reasons],
        "estimate": estimate_command.estimate_fields(choice.estimate) if choice.estimate else None,
        "lost": {name: _translations(rejection) for name, rejection in choice.rejections.items()},
        "advice": _translations(choice.advice) if choice.advice else None,
        "prompt": _translations(choice.prompt) if choice.prompt else None,
        "note": _translations(choice.note) if choice.note else None,
        "warning": _translations(choice.warning) if choice.warning else None,
        "plan": choice.plan.model_dump(mode="json", exclude_none=True) if choice.plan else None,
    }


def format_choice(choice: Choice) -> str:
    """Everything that was decided, as text for a person."""
    if choice.method:
        lines = [f"{presets.methods()[choice.method].name.render()} ({choice.method})"]
    else:
        lines = [TERMINAL_MESSAGES["not_yet"].render()]
    lines += [f"  {reason.render()}" for reason in choice.reasons]
    if choice.advice:
        lines.append(f"  {choice.advice.render()}")
    lines += [f"  {sentence.render()}" for sentence in (choice.warning, choice.note) if sentence]
    if choice.estimate:
        lines += ["", _format_estimate(choice.estimate)]
    if choice.rejections:
        lines += ["", TERMINAL_MESSAGES["others"].render()]
        lines += [f"  {name:<8} {rejection.render()}" for name, rejection in choice.rejections.items()]
    if choice.prompt:
        lines += ["", TERMINAL_MESSAGES["try_first"].render()]
        lines += [f"  | {line}" for line in choice.prompt.render().splitlines()]
    return "\n".join(lines)


def _format_estimate(estimate: Estimate) -> str:
    """An estimate in one line, every figure with its range."""
    share, memory, minutes, money = "?", "?", "?", "–"
    if estimate.trainable is not None and estimate.total:
        share = f"{estimate.trainable:,} / {estimate.total:,}"
    if estimate.memory_gb:
        memory = f"{estimate.memory_gb.low:.1f}-{estimate.memory_gb.high:.1f} GB"
    if estimate.minutes:
        minutes = f"{estimate.minutes.low:.1f}-{estimate.minutes.high:.1f} min"
    if estimate.money:
        money = f"{estimate.money.low:.2f}-{estimate.money.high:.2f} {estimate.currency}"
    return TERMINAL_MESSAGES["figures"].render(share=share, memory=memory, minutes=minutes, money=money)


def _ask_all_questions(prefilled: chooser.Answers) -> dict[str, str]:
    """The answers as they are typed; Enter takes the one in brackets.

    Raises:
        BadData: The input ends before every question is answered.
    """
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


def _translations(message: Message) -> dict[str, str]:
    return {language: message.render(language) for language in languages()}
