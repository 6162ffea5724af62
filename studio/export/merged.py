"""Merged weights: the whole model, which opens on its own."""

from pathlib import Path

from studio import methods
from studio.export.opening import open_in_transformers
from studio.export.pooled_bert import write_as_bert
from studio.export.spec import ExportFormat, ExportOptions, copy_model
from studio.i18n import label
from studio.runs import Run


def write(run: Run, folder: Path, options: ExportOptions) -> None:
    """Merge what was learned into the base; a method that saves whole models has nothing to merge."""
    method = methods.get(run.plan.method.name)
    if method.exports == ("merged",):
        copy_model(run, folder)
    else:
        from studio.export import merge  # noqa: PLC0415 - loads torch

        merge.save_merged_model(run, folder)
    write_as_bert(folder)


FORMAT = ExportFormat(
    name="merged",
    label=label("Whole model: works on its own"),
    write=write,
    open_runtime=open_in_transformers,
)
