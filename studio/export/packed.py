"""Packed weights: the whole model in few bits, as compressed-tensors opens it."""

from pathlib import Path

from studio.export.opening import open_in_transformers
from studio.export.pooled_bert import write_as_bert
from studio.export.spec import ExportFormat, ExportOptions, copy_model, import_whole_model
from studio.i18n import label
from studio.runs import Run


def write(run: Run, folder: Path, options: ExportOptions) -> None:
    """Copy the packed weights, as a model that transformers knows."""
    copy_model(run, folder)
    write_as_bert(folder)


FORMAT = ExportFormat(
    name="packed",
    label=label("Packed: whole model in few bits, the smallest; needs compressed-tensors"),
    write=write,
    relation="quantized",
    open_runtime=open_in_transformers,
    import_lines=lambda usage: [*import_whole_model(usage), "# Needs: pip install compressed-tensors"],
)
