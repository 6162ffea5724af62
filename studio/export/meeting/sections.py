"""The parts of the page for the meeting: what the data, the method and the answers were."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from studio import presets
from studio.data.text.text_length import shorten
from studio.evaluate import changes, measures, predictions, reliability
from studio.evaluate import verdict_messages as verdicts
from studio.evaluate.detail_scores import DetailScore
from studio.evaluate.paired import Estimate
from studio.evaluate.predictions import Answered, Outcome, Prediction
from studio.evaluate.reliability import Bin
from studio.evaluate.retention.comparison import SuiteChange
from studio.evaluate.retention.suites import suite_name
from studio.evaluate.verdict import Verdict
from studio.evaluate.verdict_wording import MIN_ROWS
from studio.export.meeting import messages
from studio.i18n import Message
from studio.plan import Plan, format_learning_rate
from studio.training import retention_messages

Report = Mapping[str, Any]
# How many rows are shown that got better, and as many that got worse; and how much of each text (characters).
MAX_EXAMPLES, MAX_CHARACTERS = 3, 400


@dataclass(frozen=True)
class Figure:
    """Numbers as people read them, and as the run's folder holds them."""

    text: Message | str
    values: tuple[float, ...]

    @property
    def exact(self) -> str:
        """The numbers with every digit."""
        return " ".join(repr(value) for value in self.values)


Cell = Message | str | Figure


@dataclass(frozen=True)
class Table:
    """A table with its column heads; the first cell of a row is its head."""

    heads: Sequence[Message]
    rows: Sequence[Sequence[Cell]]


@dataclass(frozen=True)
class Section:
    """A part of the page: a heading, sentences, and a table where there is one."""

    heading: Message
    sentences: Sequence[Message] = ()
    table: Table | None = None


@dataclass(frozen=True)
class Example:
    """One held-out row: what was asked and wanted, and the answers before and after."""

    question: str
    wanted: str
    before: Message | str
    after: Message | str


@dataclass(frozen=True)
class Examples:
    """Rows that got better and worse, the first of each, or what is said in their place.

    `names` are what the two answers of an example are called.
    """

    summary: Message
    groups: Sequence[tuple[Message, Sequence[Example]]] = ()
    names: tuple[Message, Message] = messages.MODELS


def method_name(plan: Plan) -> Message | str:
    """The method's name inside a sentence."""
    card = presets.methods().get(plan.method.name)
    return card.name_in_sentence if card else plan.method.name


def count(number: int) -> Figure:
    """A count."""
    return Figure(f"{number:,}", (number,))


def evidence_table(result: Verdict) -> Table | None:
    """The result and everything it was compared with, each with its interval; None where nothing was."""
    if not result.score:
        return None
    in_points = result.comparisons[0].in_points
    first_row: list[Cell] = [messages.RESULT, *_score_cells(result.score, in_points), "", "", "", ""]
    rows = [first_row]
    for comparison in result.comparisons:
        difference = comparison.difference
        lead = Estimate(difference.value, difference.low, difference.high)
        counts: list[Cell] = [count(difference.n_better), count(difference.n_worse)]
        has_counts = difference.n_better + difference.n_worse > 0 and comparison.name != "chance"
        rows.append(
            [
                verdicts.OTHERS[comparison.name],
                *_score_cells(comparison.score, comparison.in_points),
                *_lead_cells(lead, comparison.in_points),
                *(counts if has_counts else ["", ""]),
            ]
        )
    return Table(messages.EVIDENCE_HEADS, rows)


def _score_cells(score: Estimate, in_points: bool) -> list[Cell]:
    if in_points:
        return _estimate_cells(score, messages.SHARE, messages.SHARE_SPAN)
    return _estimate_cells(score, messages.NUMBER, messages.NUMBER_SPAN)


def _lead_cells(lead: Estimate, in_points: bool) -> list[Cell]:
    if not in_points:
        return _estimate_cells(lead, messages.LEAD, messages.LEAD_SPAN)
    return _estimate_cells(lead, messages.LEAD_IN_POINTS, messages.LEAD_SPAN_IN_POINTS, scale=100)


def _estimate_cells(estimate: Estimate, template: Message, span: Message, scale: int = 1) -> list[Cell]:
    """A figure, and its interval where it has one; people read them times the scale."""
    interval: Cell = ""
    if estimate.low < estimate.high:
        text = span.format(low=scale * estimate.low, high=scale * estimate.high)
        interval = Figure(text, (estimate.low, estimate.high))
    return [Figure(template.format(value=scale * estimate.value), (estimate.value,)), interval]


def describe_scores(report: Report, result: Verdict | None) -> Section | None:
    """More scores beside those of what there was before; None where there are none, as in earlier runs."""
    scores = [*map(DetailScore.from_json, report.get("detail_scores") or ())]
    has_few_rows = not result or result.n < MIN_ROWS
    shown_scores = [score for score in scores if not (score.is_share and has_few_rows)]
    if not shown_scores:
        return None
    names = messages.CLASSIFIERS if report.get("calibration") else messages.MODELS
    rows = [
        [score.name, _detail_cell(score, score.before), _detail_cell(score, score.tuned)]
        for score in shown_scores
    ]
    return Section(messages.SCORES_HEADING, table=Table((messages.SCORE_HEAD, *names), rows))


def _detail_cell(score: DetailScore, value: float | None) -> Cell:
    return "" if value is None else Figure(score.describe(value), (value,))


def describe_calibration(report: Report, result: Verdict | None) -> Section | None:
    """Whether a classifier is as sure as it is right; None where that is unknown or the rows are too few."""
    bins = [Bin(**raw) for raw in report.get("calibration") or ()]
    if not bins or not result or result.n < MIN_ROWS:
        return None
    rows: list[list[Cell]] = [
        [
            f"{100 * item.low:.0f}–{item.high:.0%}",
            count(item.n),
            Figure(messages.SHARE.format(value=item.confidence), (item.confidence,)),
            Figure(messages.SHARE.format(value=item.accuracy), (item.accuracy,)),
        ]
        for item in bins
    ]
    sentence = reliability.describe(bins, result.measure == measures.MICRO_F1.name)
    return Section(messages.CALIBRATION_HEADING, [sentence], Table(reliability.CALIBRATION_HEADS, rows))


def describe_data(report: Report) -> Section:
    """Where the examples come from, how they were split, and what was left out."""
    data, texts = report["data"], report.get("texts") or {}
    counts = {
        messages.ROWS_READ: data.get("rows", 0),
        messages.ROWS_DAMAGED: data.get("damaged", 0),
        messages.ROWS_INCOMPLETE: data.get("incomplete", 0),
        messages.TRAINED_ON: data.get("train", 0),
        messages.CHECKED_ON: data.get("validation", 0),
        messages.TESTED_ON: data.get("test", 0),
        messages.REPLAYED: data.get("replay", 0),
        messages.TEXTS_CUT: texts.get("cut", 0),
        messages.TEXTS_DROPPED: texts.get("dropped", 0),
    }
    columns = [f"{role} = {column}" for role, column in data.get("columns", {}).items()]
    sentences = [messages.DATA_FILE.format(name=data["name"], sha256=data.get("sha256", "")[:12])]
    if data.get("test_name"):
        sentences.append(messages.OWN_TEST_SET.format(name=data["test_name"]))
    if columns:
        sentences.append(messages.COLUMNS.format(columns=columns))
    table = Table(messages.COUNT_HEADS, [[name, count(number)] for name, number in counts.items()])
    return Section(messages.DATA_HEADING, sentences, table)


def describe_method(plan: Plan, report: Report) -> Section:
    """What was done to which model, why such a method is chosen, and with which settings."""
    card, parameters = presets.methods().get(plan.method.name), report["parameters"]
    training = report.get("training") or plan.training.model_dump()
    sentences = [
        messages.TRAINED.format(
            base=report["base"]["name"],
            method=method_name(plan),
            share=parameters["trainable"] / parameters["total"],
            **parameters,
        )
    ]
    if card:
        sentences += [card.short, card.when]
    sentences.append(
        messages.TRAINING.format(
            epochs=training["epochs"] or 0,
            batch_size=training["batch_size"] or 0,
            rate=format_learning_rate(report["learning_rate"]),
            device=report.get("device", ""),
        )
    )
    if plan.method.settings:
        settings = [f"{name} = {value}" for name, value in plan.method.settings.items()]
        sentences.append(messages.SETTINGS.format(settings=settings))
    return Section(messages.METHOD_HEADING, sentences)


def describe_examples(answered: Answered | None, report: Report) -> Examples:
    """The rows whose answer changed most, what got better first."""
    if samples := ((report.get("method") or {}).get("rl") or {}).get("samples"):
        groups = [(messages.SAMPLES, [*map(_sample, samples)])]
        return Examples(messages.PRACTICE_SAMPLES, groups, messages.PRACTICE)
    changed = changes.find(answered) if answered else changes.Changes((), ())
    if not changed.better and not changed.worse:
        return Examples(messages.NO_CHANGES)
    groups = [
        (heading.format(count=len(rows)), [_example(row) for row in rows[:MAX_EXAMPLES]])
        for heading, rows in ((messages.BETTER, changed.better), (messages.WORSE, changed.worse))
        if rows
    ]
    summary = messages.CHANGES.format(better=len(changed.better), worse=len(changed.worse))
    is_classified = any(row.linear for row in (*changed.better, *changed.worse))
    return Examples(summary, groups, messages.CLASSIFIERS if is_classified else messages.MODELS)


def _sample(sample: Mapping[str, Any]) -> Example:
    """An answer before and after practice."""
    texts = (str(sample.get(key, "")) for key in ("question", "before", "after"))
    question, before, after = (shorten(text, MAX_CHARACTERS) for text in texts)
    return Example(question, "", before, after)


def _example(row: Prediction) -> Example:
    return Example(
        shorten(predictions.input_text(row.example), MAX_CHARACTERS),
        shorten(predictions.expected_text(row.example), MAX_CHARACTERS),
        _describe_outcome(row.before or {}),
        _describe_outcome(row.tuned),
    )


def _describe_outcome(outcome: Outcome) -> Message | str:
    """What a model answered, as people read it."""
    if "text" in outcome:
        return changes.describe_answer(outcome, MAX_CHARACTERS)
    if "label" in outcome:
        return messages.LABEL.format(label=outcome["label"], probability=outcome["probability"])
    if "labels" in outcome:
        return messages.LABELS.format(labels=outcome["labels"]) if outcome["labels"] else "–"
    name = next(name for name in ("value", "margin", "loss") if name in outcome)
    return messages.OUTCOMES[name].format(value=outcome[name])


def describe_retention(report: Report) -> Section:
    """What general abilities were before and after; that nobody measured them where nobody did."""
    changes = retention_messages.read_retention(report)
    if not changes:
        return Section(messages.RETENTION_HEADING, [messages.RETENTION_UNKNOWN])
    sentences = [*retention_messages.describe_retention(report), messages.RETENTION]
    rows = [[suite_name(name), *_retention_cells(change)] for name, change in changes.items()]
    return Section(messages.RETENTION_HEADING, sentences, Table(messages.RETENTION_HEADS, rows))


def _retention_cells(suite: SuiteChange) -> list[Cell]:
    change = Estimate(suite["after"] - suite["before"], suite["low"], suite["high"])
    before, after = (
        Figure(messages.SHARE.format(value=suite[key]), (suite[key],)) for key in ("before", "after")
    )
    return [count(int(suite["n"])), before, after, *_lead_cells(change, in_points=True)]
