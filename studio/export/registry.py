"""The export formats there are: one file each, listed here in the order of the page."""

from studio.export import adapter, browser, gguf, merged, onnx, packed
from studio.export.spec import ExportFormat
from studio.runs import Run

EXPORT_FORMATS: tuple[ExportFormat, ...] = (
    adapter.FORMAT,
    packed.FORMAT,
    merged.FORMAT,
    onnx.FORMAT,
    gguf.FORMAT,
    browser.FORMAT,
)
NAMES = tuple(export_format.name for export_format in EXPORT_FORMATS)


def get(name: str) -> ExportFormat:
    """The format of this name; raises KeyError where there is none."""
    return {export_format.name: export_format for export_format in EXPORT_FORMATS}[name]


def available_formats(run: Run) -> tuple[str, ...]:
    """The names of the formats in which this run's result can be taken home."""
    return tuple(
        export_format.name for export_format in EXPORT_FORMATS if not export_format.find_refusal(run.plan)
    )
