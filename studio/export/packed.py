"""Packed weights: the whole model in few bits, as compressed-tensors opens it."""

from studio.export.spec import ExportFormat, copy_model, import_whole_model
from studio.i18n import label

FORMAT = ExportFormat(
    name="packed",
    label=label(
        "The whole model in few bits (packed weights): smallest, "
        "opens with transformers and compressed-tensors"
    ),
    write=copy_model,
    import_lines=lambda usage: [*import_whole_model(usage), "# Needs: pip install compressed-tensors"],
)
