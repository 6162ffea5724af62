"""Two to five runs side by side: what each came to, what their plans differ in, and what shared rows show."""

import math
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from studio import methods, run_index, runs
from studio.errors import NotPossible, StudioError
from studio.evaluate import evidence as evidences
from studio.evaluate import measures, predictions, verdict, verdict_messages
from studio.evaluate import verdict_wording as wording
from studio.evaluate.evidence import Evidence
from studio.evaluate.verdict import Verdict
from studio.i18n import Message
from studio.plan import Plan
from studio.run_index import Summary
from studio.runs import Run
from studio.training.bake_off.summary import SCORES

MIN_RUNS, MAX_RUNS = 2, 5
# What a run is called or where it runs changes nothing of what it learns.
IGNORED_FIELDS = ("name", "where")
# Data whose content is known, by the keys of a plan -> of a report's data.
DATA_REPORTS = {"data.source": ("name", "sha256"), "data.test": ("test_name", "test_sha256")}
FINGERPRINT_DIGITS = 8
LOSSES = ("loss", "eval_loss")
# Lower is better.
ERROR_MEASURES = (measures.LOSS.name, measures.ABSOLUTE_ERROR.name)
WRONG_COUNT = Message("{least} to {most} runs can be compared, and you chose {count}.")
CHOOSE_RUNS = Message("Choose each run once.")
SCORE_ON_ROWS = Message("{score}, {n} {rows}")
BETTER = Message("“{first}” is better than “{second}” on the same {n} {rows}: {difference}.")
WORSE = Message("“{first}” is worse than “{second}” on the same {n} {rows}: {difference}.")
NOT_SHOWN = Message("“{first}” and “{second}” may be equally good on the same {n} {rows}: {difference}.")
TOO_FEW = Message(
    "“{first}” is better than “{second}” on {n_better} and worse on {n_worse} of the {n} {rows} that both "
    "answered: too few to say which is better."
)
NO_SHARED_ROWS = Message("“{first}” and “{second}” have no held-out row in common to compare them on.")
OTHER_TOKENS = Message(
    "“{first}” and “{second}” have different base models: their losses count different tokens and cannot be "
    "compared."
)
UNREADABLE_ANSWERS = Message("The answers of “{name}” are not compared. {fault}")


@dataclass(frozen=True)
class Setting:
    """One setting of the plans, with its value in each run.

    Attributes:
        key: Its key in a plan, such as `training.learning_rate`.
        values: What each run used; None where it has no such setting, or has not filled it in.
    """

    key: str
    values: tuple[Any, ...]

    @property
    def kind(self) -> Literal["equal", "different", "partial"]:
        """ "equal", "different", or "partial" where not all methods have such a setting."""
        if all(value == self.values[0] for value in self.values):
            return "equal"
        is_partial = self.key.startswith("method.settings.") and None in self.values
        return "partial" if is_partial else "different"


@dataclass(frozen=True)
class ComparedRun:
    """One of the runs that are compared.

    Attributes:
        run: The run.
        name: Its name, with the beginning of its id where another one is called the same.
        plan: Its plan.
        report: Its report; empty while there is none.
        summary: Its line in the list of runs.
        verdict: Its verdict; None without one.
    """

    run: Run
    name: str
    plan: Plan
    report: Mapping[str, Any]
    summary: Summary
    verdict: Verdict | None

    @property
    def score(self) -> Message | None:
        """Its score with the 95 % interval and the held-out rows it was measured on; None without one."""
        return _format_score(self.verdict) if self.verdict and self.verdict.score else None


@dataclass(frozen=True)
class RunComparison:
    """What several runs have in common and in what they differ.

    Attributes:
        runs: The runs in the order they were chosen.
        settings: All settings of their plans, in the order of a plan.
        findings: Whether the best run is shown to be better than each other, on the rows that both answered.
    """

    runs: tuple[ComparedRun, ...]
    settings: tuple[Setting, ...]
    findings: tuple[Message, ...]

    @property
    def has_comparable_losses(self) -> bool:
        """Whether all learn the same task on the same base model, so that their losses count the same."""
        return len({(compared.plan.task, compared.plan.model) for compared in self.runs}) == 1


def compare(chosen: Sequence[Run]) -> RunComparison:
    """Compare two to five runs.

    Raises:
        NotPossible: They are too few or too many, or one is chosen twice.
        BadPlan: The plan of one cannot be read.
    """
    is_count_allowed = MIN_RUNS <= len(chosen) <= MAX_RUNS
    if not is_count_allowed or len({run.id for run in chosen}) < len(chosen):
        raise NotPossible(WRONG_COUNT, CHOOSE_RUNS, least=MIN_RUNS, most=MAX_RUNS, count=len(chosen))
    compared_runs = _read_runs(chosen)
    return RunComparison(
        runs=compared_runs,
        settings=tuple(_list_settings(compared_runs)),
        findings=tuple(_compare_answers(compared_runs)),
    )


def _read_runs(chosen: Sequence[Run]) -> tuple[ComparedRun, ...]:
    plans = [run.plan for run in chosen]
    summaries = {summary.id: summary for summary in run_index.summarize(list(chosen))}
    name_counts = Counter(plan.name for plan in plans)
    compared_runs = []
    for run, plan in zip(chosen, plans, strict=True):
        name = plan.name if name_counts[plan.name] == 1 else f"{plan.name} ({run.id[:8]})"
        report = runs.report(run)
        compared_runs.append(ComparedRun(run, name, plan, report, summaries[run.id], _read_verdict(report)))
    return tuple(compared_runs)


def _read_verdict(report: Mapping[str, Any]) -> Verdict | None:
    """The verdict in a report; None where there is none, or it is damaged."""
    try:
        return verdict.read(report)
    except (TypeError, KeyError, ValueError, AttributeError):
        return None


def _format_score(judged: Verdict) -> Message | None:
    assert judged.score
    rows = verdict_messages.ROWS.get((judged.split, wording.NOUNS.get(judged.measure, "texts")))
    if judged.measure not in SCORES or not rows:
        return judged.headline
    if judged.n < wording.MIN_ROWS and judged.measure not in ERROR_MEASURES:
        kind = "f1" if judged.measure == measures.MICRO_F1.name else "hits"
        hits = round(judged.score.value * judged.n)
        return verdict_messages.RESULTS[kind, False].format(hits=hits, n=judged.n, rows=rows)
    score = SCORES[judged.measure].format(
        value=judged.score.value, low=judged.score.low, high=judged.score.high
    )
    return SCORE_ON_ROWS.format(score=score, n=judged.n, rows=rows)


# ---- Settings


def _list_settings(compared_runs: Sequence[ComparedRun]) -> Iterator[Setting]:
    flat_plans = [_read_settings(compared) for compared in compared_runs]
    keys = dict.fromkeys(key for flat_plan in flat_plans for key in flat_plan)
    sections = list(Plan.model_fields)
    for key in sorted(keys, key=lambda key: sections.index(key.partition(".")[0])):
        values = tuple(flat_plan.get(key) for flat_plan in flat_plans)
        yield Setting(key, _identify_data(key, values, compared_runs))


def _read_settings(compared: ComparedRun) -> dict[str, Any]:
    """What a run used, by key: its plan, with what it filled in and the defaults of its method."""
    raw = compared.plan.model_dump(mode="json", exclude=set(IGNORED_FIELDS))
    raw["method"]["settings"] = _resolve_method_settings(compared.plan)
    used = compared.report.get("training") or {}
    raw["training"] |= {name: value for name, value in used.items() if name in raw["training"]}
    columns = (compared.report.get("data") or {}).get("columns")
    if isinstance(columns, Mapping):
        raw["data"]["columns"] = columns
    return dict(_flatten(raw))


def _resolve_method_settings(plan: Plan) -> Mapping[str, Any]:
    """The settings of a plan's method; those that are named alone where this studio has no such method."""
    try:
        return methods.get(plan.method.name).resolve_settings(plan.method.settings)
    except StudioError:
        return plan.method.settings


def _flatten(section: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    for name, value in section.items():
        if isinstance(value, Mapping):
            yield from _flatten(value, f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}", value


def _identify_data(
    key: str, values: tuple[Any, ...], compared_runs: Sequence[ComparedRun]
) -> tuple[Any, ...]:
    """Data by their content where that is known of all runs: the same file may lie in several places."""
    if key not in DATA_REPORTS:
        return values
    name_key, digest_key = DATA_REPORTS[key]
    reports = [compared.report.get("data") or {} for compared in compared_runs]
    if not all(report.get(digest_key) for report in reports):
        return values
    return tuple(
        f"{report.get(name_key, '')} · {str(report[digest_key])[:FINGERPRINT_DIGITS]}" for report in reports
    )


# ---- Answers to the same held-out rows


def _compare_answers(compared_runs: Sequence[ComparedRun]) -> Iterator[Message]:
    """What the paired tests of the best run against each other one show.

    The level of each test is divided by the number of pairs there are (Bonferroni), since the best is chosen
    by the same rows.
    """
    answers = []
    for compared in compared_runs:
        answered, fault = predictions.try_to_read(compared.run.folder)
        answers.append(answered)
        if fault:
            yield UNREADABLE_ANSWERS.format(name=compared.name, fault=fault)
    best = _find_best(compared_runs)
    n_pairs = math.comb(len(compared_runs), 2)
    for index, other in enumerate(compared_runs):
        if index == best or answers[best] is None or answers[index] is None:
            continue
        evidence = evidences.gather_runs(answers[best], answers[index], n_pairs)
        yield _describe_pair(compared_runs[best], other, evidence)


def _find_best(compared_runs: Sequence[ComparedRun]) -> int:
    """The index of the run with the best score; of the first where their scores are of several kinds."""
    results = [compared.verdict for compared in compared_runs]
    scored = {index: result.score.value for index, result in enumerate(results) if result and result.score}
    measured = {result.measure for result in results if result and result.score}
    if len(measured) != 1:
        return 0
    sign = -1 if measured.pop() in ERROR_MEASURES else 1
    return max(scored, key=lambda index: sign * scored[index])


def counts_other_tokens(measure: str, first: Plan, second: Plan) -> bool:
    """Whether two runs are compared by losses of different base models, whose tokens are others."""
    return measure == measures.LOSS.name and first.model != second.model


def _describe_pair(first: ComparedRun, second: ComparedRun, evidence: Evidence | None) -> Message:
    names = {"first": first.name, "second": second.name}
    if not evidence:
        return NO_SHARED_ROWS.format(**names)
    if counts_other_tokens(evidence.measure, first.plan, second.plan):
        return OTHER_TOKENS.format(**names)
    (comparison,) = evidence.comparisons
    template = _choose_template(evidence)
    return template.format(
        **names,
        n=evidence.n,
        rows=wording.row_name(evidence),
        difference=wording.describe_difference(comparison),
        n_better=comparison.difference.n_better,
        n_worse=comparison.difference.n_worse,
    )


def _choose_template(evidence: Evidence) -> Message:
    (comparison,) = evidence.comparisons
    if evidence.n < wording.MIN_ROWS:
        return TOO_FEW
    if comparison.difference.is_better:
        return BETTER
    return WORSE if comparison.difference.is_worse else NOT_SHOWN


# ---- Losses


def read_losses(run: Run) -> list[list[Any]]:
    """The losses of a run: [stage, epoch, {"loss" or "eval_loss": nats}], in the order they were measured."""
    points = []
    for point in runs.read_points(run):
        losses = {name: point[name] for name in LOSSES if _is_finite(point.get(name))}
        if losses and _is_finite(point.get("epoch")):
            points.append([point["stage"], point["epoch"], losses])
    return points


def _is_finite(value: object) -> bool:
    return isinstance(value, int | float) and math.isfinite(value)
