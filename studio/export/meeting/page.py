"""The page for the meeting as one HTML file that needs nothing else, written from the run's folder alone."""

from collections.abc import Mapping
from datetime import UTC, datetime
from functools import lru_cache
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined, Template

from studio import presets, runs
from studio.evaluate import detail_scores, predictions, verdict
from studio.evaluate.predictions import Answered
from studio.export.meeting import cost, curve_charts, messages, risks, sections
from studio.export.usage import public_base_name
from studio.i18n import Message
from studio.plan import Plan
from studio.runs import Run

TEMPLATE = "meeting.html"


def render_page(run: Run, language: str = "en") -> str:
    """The page of a run with a result.

    Args:
        run: The run. Nothing outside its folder is read but the studio's own presets.
        language: The language of the page.

    Raises:
        NotPossible: The run has no result, or its report is damaged.
    """
    report, plan = runs.complete_report(run), run.plan
    answered, fault = predictions.try_to_read(run.folder)
    result = verdict.read(report)
    is_intact = bool(result) and runs.is_report_intact(run)
    is_reproduced = is_intact and _is_reproduced(answered, report, plan)
    scores = (sections.describe_scores(report, result), sections.describe_calibration(report, result))

    def say(text: Message | str) -> str:
        return text.render(language) if isinstance(text, Message) else text

    return _template(presets.ASSETS).render(
        say=say,
        words=messages.WORDS,
        language=language,
        name=plan.name,
        run_id=run.id,
        ended_on=datetime.fromtimestamp(runs.status(run).updated, UTC).date().isoformat(),
        question=messages.QUESTION.format(
            base=public_base_name(report), method=sections.method_name(plan), data=report["data"]["name"]
        ),
        verdict=result,
        no_verdict=verdict.read_fault(report) or messages.WORDS["no_verdict"],
        is_reproduced=is_reproduced,
        evidence=sections.evidence_table(result) if result else None,
        scores=[section for section in scores if section],
        sections=[
            sections.describe_data(report),
            sections.describe_method(plan, report),
            cost.describe_cost(run, report),
        ],
        charts=curve_charts.build_charts(runs.read_points(run)),
        kept_step=messages.KEPT_STEP.format(step=report.get("best_step", 0)),
        examples=sections.describe_examples(answered, report),
        retention=sections.describe_retention(report),
        risks=[*risks.find_risks(run, answered, result), *([fault] if fault else [])],
        prices=cost.known_prices(run, report),
    )


def _is_reproduced(answered: Answered | None, report: Mapping[str, Any], plan: Plan) -> bool:
    """Whether verdict and scores of a report are those recomputed from the answers, to the digit."""
    details = detail_scores.build_report(answered) if answered else {}
    is_same_detail = all(report[name] == details[name] for name in details if name in report)
    judged = verdict.judge(answered, report, plan).to_json()
    return is_same_detail and _figures(judged) == _figures(report["verdict"])


def _figures(judged: Mapping[str, Any]) -> dict[str, Any]:
    """What a verdict says but for its sentences, which another version of the studio may word otherwise."""
    return {name: judged[name] for name in ("state", "measure", "split", "n", "score", "comparisons")}


@lru_cache
def _template(folder: Path) -> Template:
    """The page's template; everything that is filled in is escaped."""
    environment = Environment(
        loader=FileSystemLoader(folder),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    return environment.get_template(TEMPLATE)
