"""Every form of every method, replayed on the exported file: `python tests/bench/export.py [METHOD-TASK …]`.

Tiny models are trained, taken home in every form they have, and asked again in the runtime the form is for.
The table says the score before and after, whether a drop was seen, and how many answers are gibberish: that
share less than a quarter of their characters (chrF below 25) with the answer in the studio.
"""

import os
import sys
import tempfile
from pathlib import Path

os.environ.update({"HF_HUB_OFFLINE": "1", "TOKENIZERS_PARALLELISM": "false", "OMP_NUM_THREADS": "1"})
TOOLS_HOME = os.environ.get("STUDIO_HOME")
os.environ["STUDIO_HOME"] = tempfile.mkdtemp(prefix="bench-export-")
sys.path.insert(0, str(Path(__file__).parents[1]))

import conftest
import sacrebleu
import toys
from ways import WAYS

from studio import export, runs
from studio.export.spec import ExportOptions
from studio.plan import Data, MethodChoice, Plan, Training
from studio.training import worker

GIBBERISH_CHRF = 25
ROWS = 8
COLUMNS = "| run | form | runtime | rows | before | after | drop | gibberish | prompts | seconds |"


def make_plan(method: str, task: str, folder: Path) -> Plan:
    """A short training on toys, as the tests' own fixture makes it."""
    values = {
        **conftest.TINY_TRAINING,
        **conftest.TRAINING_OVERRIDES.get(task, {}),
        **conftest.TRAINING_OVERRIDES.get(method, {}),
    }
    share = values.pop("validation_share")
    base = folder / ("bert" if task == "classify" else "llama")
    columns = conftest.choose_columns(method, task)
    return Plan(
        name=f"{method}-{task}",
        task=task,
        model=str(base),
        data=Data(source=str(folder / f"{task}.csv"), columns=columns, validation_share=share),
        method=MethodChoice(name=method, settings=conftest.SHORT_SETTINGS.get((method, task), {})),
        training=Training(**values),
    )


def count_gibberish(samples) -> str:
    """How many answers of the file have hardly anything of those in the studio, of how many."""
    written = [sample for sample in samples if sample.studio]
    scores = [sacrebleu.sentence_chrf(sample.file, [sample.studio]).score for sample in written]
    return f"{sum(score < GIBBERISH_CHRF for score in scores)}/{len(written)}"


def measure(run, form: str, precision: str, folder: Path) -> str:
    """A row of the table."""
    from time import monotonic

    started = monotonic()
    options = ExportOptions(precision=precision, rows=ROWS, seconds=60)
    try:
        checked = export.read_check(export.save_result(run, form, folder, options))
    except Exception as error:
        return f"| {run.plan.name} | {form} | – | {error} |"
    seconds = monotonic() - started
    if not checked or not checked.replay:
        why = checked.why_not.render() if checked and checked.why_not else "?"
        return f"| {run.plan.name} | {form} | – | not checked: {why} |"
    replay = checked.replay
    prompts = ", ".join(f"{check.runtime} {check.n_same}/{check.n}" for check in replay.prompts)
    scores = f"{replay.before.value:.3f} | {replay.after.value:.3f} | {'DROP' if replay.is_drop else 'no'}"
    return (
        f"| {run.plan.name} | {' '.join(filter(None, (form, precision)))} | {replay.runtime} | {replay.n} | "
        f"{scores} | {count_gibberish(replay.samples)} | {prompts} | {seconds:.0f} |"
    )


def main(names: list[str]) -> None:
    """Print the table."""
    folder = Path(tempfile.mkdtemp(prefix="bench-toys-"))
    (folder / "llama").mkdir()
    (folder / "bert").mkdir()
    toys.save_tiny_llama(folder / "llama")
    toys.save_tiny_bert(folder / "bert")
    toys.write_toy_files(folder)
    if TOOLS_HOME:
        (Path(os.environ["STUDIO_HOME"]) / "tools").symlink_to(Path(TOOLS_HOME) / "tools")
    print(COLUMNS, "|---" * COLUMNS.count(" | ") + "|---|", sep="\n", flush=True)
    for method, task in WAYS:
        if names and f"{method}-{task}" not in names:
            continue
        run = runs.create(make_plan(method, task, folder))
        worker.run(run.id)
        for form in export.available_formats(runs.get(run.id)):
            if form == "browser":  # the same file as gguf
                continue
            print(measure(runs.get(run.id), form, "", folder / run.id / form), flush=True)


if __name__ == "__main__":
    main(sys.argv[1:])
