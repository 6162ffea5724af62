"""What the methods reach on real data, with their defaults.

The held-out figure before and after, beside the bar that was set for it.

    python tests/bench/real.py [NAME …]

Without names it lists the trainings and their bars, since all of them take hours on two cores. The data lie
in `../shared/data`; what is not there is said and left out. Every training runs in a worker process of its
own, as from the page.
"""

import argparse
import csv
import json
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from studio import processes, runs
from studio.plan import Data, MethodChoice, Plan

SHARED = Path(__file__).resolve().parents[3] / "shared" / "data"
TEXT_METHODS = ("full", "frozen", "lora", "prefix", "adapter", "qlora", "qat", "peft")
# Pairs are cut to so many characters of the answer, and left out where the question is longer or nothing
# tells the answers apart any more.
LONGEST = 500
QUESTIONS = 300


@dataclass(frozen=True)
class Case:
    """One training: its plan, the figure that is looked at, and the least (or, for a loss, the most) it
    should be.
    """

    plan: Callable[[Path], Plan]
    figure: str
    bar: float | None
    needs: Path | None = None


def tone(method: str) -> Case:
    """The sample of support replies on the embedded text model; the held-out loss must fall below the base's."""
    columns = {"prompt": "customer", "response": "reply"}
    data = Data(source="sample:support-tone", columns=columns, validation_share=0.15)
    return Case(
        lambda _: Plan(
            name=method, task="chat", model="smollm2-135m", data=data, method=MethodChoice(name=method)
        ),
        "loss",
        None,
    )


def bank(method: str, bar: float | None) -> Case:
    """Banking77 (77 classes) on the embedded encoder, a tenth held out."""
    file = SHARED / "banking77_train.csv"
    data = Data(source=str(file), columns={"text": "text", "label": "category"}, validation_share=0.1)
    made = Plan(name=method, task="classify", model="minilm-l6", data=data, method=MethodChoice(name=method))
    return Case(lambda _: made, "accuracy", bar, file)


def pairs(folder: Path) -> Plan:
    """Preference pairs cut short, a fifth held out.

    The reward model is what is looked at, so the other stages are left out or short.
    """
    with (folder / "pairs.csv").open("w", encoding="utf-8", newline="") as file:
        rows = csv.writer(file)
        rows.writerow(("prompt", "chosen", "rejected"))
        rows.writerows(short_pairs(json.loads((SHARED / "preferences_en.json").read_text(encoding="utf-8"))))
    settings = {"sft": False, "steps": 6, "max_completion_length": 32}
    data = Data(source=str(folder / "pairs.csv"), validation_share=0.2)
    return Plan(
        name="pairs",
        task="prefer",
        model="smollm2-135m",
        data=data,
        method=MethodChoice(name="rlhf", settings=settings),
    )


def short_pairs(found: list[dict[str, Any]]) -> Iterator[tuple[str, str, str]]:
    """Question, better and worse answer, cut short."""
    for one in found:
        asked, chosen, rejected = (
            one["conversations"][-1]["value"],
            one["chosen"]["value"][:LONGEST],
            one["rejected"]["value"][:LONGEST],
        )
        if len(asked) <= LONGEST and chosen != rejected:
            yield asked, chosen, rejected


def sums(folder: Path) -> Plan:
    """The first questions of GSM8K, with the answers known, a fifth held out."""
    with (SHARED / "gsm8k_train.jsonl").open(encoding="utf-8") as file:
        (folder / "sums.jsonl").write_text(
            "".join(line for line, _ in zip(file, range(QUESTIONS), strict=False)), encoding="utf-8"
        )
    data = Data(
        source=str(folder / "sums.jsonl"),
        columns={"prompt": "question", "answer": "answer"},
        validation_share=0.2,
    )
    return Plan(
        name="sums", task="prompts", model="smollm2-135m", data=data, method=MethodChoice(name="upft")
    )


CASES = {
    **{f"tone-{method}": tone(method) for method in TEXT_METHODS},
    **{
        f"bank-{method}": bank(method, bar)
        for method, bar in (
            ("full", 0.9),
            ("lora", 0.85),
            ("adapter", 0.85),
            ("frozen", None),
            ("prefix", None),
        )
    },
    "pairs": Case(pairs, "reward_model", 0.6, SHARED / "preferences_en.json"),
    "sums": Case(sums, "loss", None, SHARED / "gsm8k_train.jsonl"),
}


def trained(name: str, folder: Path) -> str:
    """Train one case; a line with its figure before and after, the bar, and the seconds it took."""
    case = CASES[name]
    run = runs.create(case.plan(folder))
    subprocess.run(
        [sys.executable, "-m", "studio.training.worker", run.id],
        env=processes.child_environment(processes.WORKER),
        check=True,
        stderr=subprocess.DEVNULL,
    )
    report = runs.report(run)
    before, after = report["before"], report["after"]
    if case.figure == "reward_model":
        found = report["method"]["reward_model"]
        before, after = {}, {"reward_model": found["after"]["accuracy"]}
    right = (
        f"  right {before['answer_accuracy']} -> {after['answer_accuracy']} of {after['n_questions']}"
        if "answer_accuracy" in after
        else ""
    )
    bar = f"{case.bar:.2f}" if case.bar else "below" if case.figure == "loss" else "-"
    start = f"{before[case.figure]:.3f}" if case.figure in before else "-"
    return f"{name:<14}{case.figure:<14}{start:>8}{after[case.figure]:>8.3f}{bar:>8}{report['seconds']:>8.0f} s{right}"


def main() -> int:
    """Train what was named, a line each; list what there is where nothing was.

    Exit code 2 where a name is unknown.
    """
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("names", nargs="*")
    names = parser.parse_args().names
    if strange := [name for name in names if name not in CASES]:
        parser.error(f"expected some of {', '.join(CASES)}, but got {', '.join(strange)}")
    print(f"{'training':<14}{'figure':<14}{'before':>8}{'after':>8}{'bar':>8}", flush=True)
    with tempfile.TemporaryDirectory() as folder:
        for name in names:
            needs = CASES[name].needs
            print(
                f"{name:<14}needs {needs}" if needs and not needs.is_file() else trained(name, Path(folder)),
                flush=True,
            )
    if not names:
        print(
            "\n".join(
                f"{name:<14}{case.figure:<14}{'':>16}{case.bar or '-':>8}" for name, case in CASES.items()
            )
        )
    return 0


if __name__ == "__main__":
    sys.exit(main())
