"""The page for the meeting says what the run folder holds, wherever it is opened, and runs nothing else."""

import re
import shutil
from html.parser import HTMLParser

import pytest
from meeting_runs import ESTIMATE

from studio import runs
from studio.errors import NotPossible
from studio.evaluate import predictions, verdict
from studio.evaluate.verdict_messages import FAULT
from studio.export.meeting import messages, page
from studio.storage import read_json, write_json

HOSTILE = (
    "<script>alert('x')</script>\"><img src=x onerror=alert(1)> {name} {0} {{ 7*7 }} {% x %} </style> &amp;"
)


class Reader(HTMLParser):
    """What a browser makes of a page: its elements, its text, and the exact figures of each section."""

    def __init__(self, text):
        super().__init__()
        self.tags, self.figures, self.texts, self.values = [], {}, [], {}
        self.heading, self.is_heading = "", False
        self.feed(text)

    def handle_starttag(self, tag, attributes):
        found = dict(attributes)
        self.tags.append((tag, found))
        if tag == "h2":
            self.heading, self.is_heading = "", True
        if tag == "data":
            self.figures.setdefault(self.heading, []).append([float(part) for part in found["value"].split()])
        if tag == "input":
            self.values[found["id"]] = found["value"]

    def handle_endtag(self, tag):
        self.is_heading = self.is_heading and tag != "h2"

    def handle_data(self, data):
        self.texts.append(data)
        if self.is_heading:
            self.heading += data

    @property
    def text(self):
        return " ".join(" ".join(self.texts).split())


def read(run, language="en"):
    return Reader(page.render_page(run, language))


@pytest.mark.parametrize("language", ["en", "zh"])
def test_the_verdict_of_the_page_is_that_recomputed_from_the_folder_to_the_digit(make_run, language):
    run = make_run()
    recomputed = verdict.judge(predictions.read(run.folder), runs.report(run), run.plan)
    expected = [[recomputed.score.value], [recomputed.score.low, recomputed.score.high]]
    for comparison in recomputed.comparisons:
        score, difference = comparison.score, comparison.difference
        expected += [[score.value], [score.low, score.high], [difference.value]]
        expected += [[difference.low, difference.high], [difference.n_better], [difference.n_worse]]
    found = read(run, language)
    assert found.figures[messages.WORDS["evidence"].render(language)] == expected
    steps = [step.message for step in recomputed.next_steps]
    for sentence in (recomputed.word, recomputed.headline, *recomputed.reasons, *steps):
        assert sentence.render(language) in found.text
    assert messages.WORDS["reproduced"].render(language) in found.text


def test_scores_and_calibration_are_those_of_the_report_to_the_digit(make_run):
    run = make_run(n=30, n_linear=12, n_tuned=27)
    report = runs.report(run)
    scores = [[value] for score in report["detail_scores"] for value in (score["before"], score["tuned"])]
    found = read(run)
    assert found.figures[messages.SCORES_HEADING.render()] == [value for value in scores if value != [None]]
    # all 30 texts with 75 % confidence, 27 of them right
    assert found.figures[messages.CALIBRATION_HEADING.render()] == [[30], [0.75], [0.9]]
    assert messages.WORDS["reproduced"].render() in found.text
    report["calibration"][0]["accuracy"] = 0.95
    write_json(run.folder / "report.json", report)
    assert messages.WORDS["not_reproduced"].render() in read(run).text


def test_too_few_rows_give_no_percentage_on_the_page(make_run):
    found = read(make_run(n=12, n_linear=3, n_tuned=11))
    assert messages.SCORES_HEADING.render() not in found.figures
    assert messages.CALIBRATION_HEADING.render() not in found.figures


def test_a_verdict_that_the_folder_does_not_bear_out_is_told(make_run):
    run = make_run()
    report = read_json(run.folder / "report.json")
    report["verdict"]["score"]["value"] += 1e-9
    write_json(run.folder / "report.json", report)
    assert messages.WORDS["not_reproduced"].render() in read(run).text


def test_other_words_for_the_same_figures_bear_a_verdict_out(make_run):
    run = make_run()
    report = read_json(run.folder / "report.json")
    report["verdict"]["headline"] = {"text": "In other words."}
    write_json(run.folder / "report.json", report)
    assert messages.WORDS["reproduced"].render() in read(run).text


@pytest.mark.parametrize("language", ["en", "zh"])
def test_a_folder_that_was_zipped_and_opened_in_another_home_shows_the_same_page(
    make_run, tmp_path, monkeypatch, language
):
    run = make_run(retention={"all": {"before": 0.9, "after": 0.7, "n": 40, "low": -0.4, "high": -0.1}})
    write_json(run.folder / "estimate.json", ESTIMATE)
    there = page.render_page(run, language)
    archive = shutil.make_archive(str(tmp_path / "run"), "zip", run.folder)
    monkeypatch.setenv("STUDIO_HOME", str(tmp_path / "elsewhere"))
    shutil.unpack_archive(archive, runs.folder() / run.id)
    assert page.render_page(runs.get(run.id), language) == there
    assert str(tmp_path) not in there


def test_texts_of_the_data_are_shown_as_they_are_and_run_nothing(make_run):
    rows = [{"text": f"{HOSTILE} {index}", "label": HOSTILE if index % 2 else "other"} for index in range(30)]
    run = make_run(rows=rows, name=HOSTILE[:120])
    report = read_json(run.folder / "report.json")
    report["data"] |= {"name": HOSTILE, "columns": {"text": HOSTILE}, "test_name": HOSTILE}
    report["device"] = HOSTILE
    write_json(run.folder / "report.json", report)
    ordinary, found = read(make_run()), read(run)
    allowed = {(tag, tuple(sorted(attributes))) for tag, attributes in ordinary.tags}
    assert {(tag, tuple(sorted(attributes))) for tag, attributes in found.tags} <= allowed
    assert [tag for tag, _ in found.tags].count("script") == 1
    assert f"{HOSTILE} 0" in found.text
    assert found.text.count(HOSTILE) >= 8


def test_the_page_needs_nothing_else(make_run):
    text = page.render_page(make_run())
    assert not re.search(r"https?:|//[a-z]|\bsrc\s*=|\bhref\s*=|url\(|@import|\bfetch\(", text)


def test_the_counts_of_the_data_are_those_of_the_report(make_run):
    figures = read(make_run()).figures[messages.DATA_HEADING.render()]
    assert figures == [[130], [1], [2], [80], [17], [30], [0], [3], [0]]


def test_estimated_and_actual_cost_stand_side_by_side(make_run):
    run = make_run()
    write_json(run.folder / "estimate.json", ESTIMATE)
    found = read(run)
    # 126 s without the 6 s of fetching are 2 minutes; 3 more to start the machine at 0.60 an hour cost 0.05.
    expected = [[1.0, 2.5], [2.0], [1.0, 1.5], [1.25], [0.01, 0.05], [pytest.approx(0.05)]]
    assert found.figures[messages.COST_HEADING.render()] == expected
    assert found.values["machine_price"] == "0.6"
    assert found.values["training_cost"] == "0.05"


def test_no_price_is_made_up(make_run):
    found = read(make_run())
    empty = ("api_price", "volume", "machine_price", "training_cost", "as_of")
    assert {name: found.values[name] for name in empty} == dict.fromkeys(empty, "")
    assert messages.NO_ESTIMATE.render() in found.text
    assert messages.NO_PRICE.render() in found.text


def test_what_got_better_stands_before_what_got_worse_with_the_counts_of_the_verdict(make_run):
    run = make_run(n=30, n_linear=12, n_tuned=27)
    linear = next(found for found in verdict.read(runs.report(run)).comparisons if found.name == "linear")
    text = read(run).text
    assert (linear.difference.n_better, linear.difference.n_worse) == (18, 3)
    assert messages.CHANGES.render(better=18, worse=3) in text
    better, worse = text.index(messages.BETTER.render(count=18)), text.index(messages.WORSE.render(count=3))
    assert better < text.index("text 0") < text.index("text 2") < worse < text.index("text 27")
    assert "text 3 " not in text


def test_what_it_forgot_is_shown_where_it_was_measured(make_run):
    heading = messages.RETENTION_HEADING.render()
    assert messages.RETENTION_UNKNOWN.render() in read(make_run()).text
    suite = {"before": 0.9, "after": 0.75, "n": 40, "low": -0.4, "high": -0.1}
    found = read(make_run(retention={"all": suite}))
    assert found.figures[heading] == [[40], [0.9], [0.75], [0.75 - 0.9], [-0.4, -0.1]]
    assert messages.RISK_NOT_MEASURED.render() not in found.text


def test_a_run_without_a_result_has_no_page(make_run):
    run = make_run()
    (run.folder / "report.json").unlink()
    with pytest.raises(NotPossible):
        page.render_page(run)


def test_a_run_of_an_earlier_studio_has_a_page_without_a_verdict(make_run):
    run = make_run()
    report = read_json(run.folder / "report.json")
    del report["verdict"]
    write_json(run.folder / "report.json", report)
    (run.folder / "predictions.jsonl").unlink()
    assert messages.WORDS["no_verdict"].render() in read(run).text


def test_a_verdict_that_could_not_be_computed_is_said(make_run):
    run = make_run()
    report = read_json(run.folder / "report.json")
    del report["verdict"]
    fault = FAULT.format(error="KeyError('label')", run=run.id[:8])
    write_json(run.folder / "report.json", report | {"verdict_fault": fault.to_json()})
    assert fault.render() in read(run).text


@pytest.mark.thorough
@pytest.mark.parametrize("language", ["en", pytest.param("zh", marks=pytest.mark.exhaustive)])
def test_every_method_and_task_has_a_page(way, finished, language):
    found = read(finished(*way), language)
    assert messages.WORDS["no_verdict"].render(language) not in found.text
    assert found.figures[messages.DATA_HEADING.render(language)]
