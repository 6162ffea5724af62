"""What an engineer needs to open an export: a few lines for each runtime it is for."""

from collections.abc import Iterable

from studio import runs
from studio.export import registry
from studio.export.spec import Snippet
from studio.export.transformers_code import render_transformers_code
from studio.export.usage import build_usage
from studio.runs import Run

TRANSFORMERS = "transformers (pip install torch transformers peft)"


def list_snippets(
    run: Run, export_format: str, language: str = "en", precision: str = ""
) -> tuple[Snippet, ...]:
    """What opens a run's export from its own folder and asks it something, by runtime.

    Args:
        run: The run; it has a result.
        export_format: The name of the format.
        language: The language of comments.
        precision: The format's precision, "" for its first.
    """
    form = registry.get(export_format)
    usage = build_usage(run.plan, runs.report(run), language)
    if form.snippets:
        default = form.precisions[0][0] if form.precisions else ""
        return form.snippets(usage, precision or default)
    return (Snippet(TRANSFORMERS, "python", render_transformers_code(form, usage, run.plan.task)),)


def render_snippets(snippets: Iterable[Snippet]) -> str:
    """Snippets as Markdown."""
    return "\n\n".join(
        f"**{snippet.title}**\n\n```{snippet.language}\n{snippet.code}\n```" for snippet in snippets
    )
