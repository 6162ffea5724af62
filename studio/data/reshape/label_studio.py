"""Label Studio's own export becomes texts and their classes."""

from collections.abc import Iterator, Mapping
from typing import Any

from studio.data.readers.rows import ParsedRows, Row
from studio.data.reshape import columns
from studio.data.text.text_length import weighted_length
from studio.i18n import Message

ANNOTATION_NAMES = ("annotations", "completions")
CHOICE_KEYS = ("choices", "taxonomy", "rating")
CLASSES_TAKEN = Message("The texts and classes of an export of Label Studio were taken out of its fields.")


def take_annotations(parsed: ParsedRows) -> ParsedRows:
    """Take the texts and the first annotator's choices out of the fields of the export."""
    annotations = columns.first_named(parsed.columns, ANNOTATION_NAMES)
    data = columns.first_named(parsed.columns, ("data",))
    if not annotations or not data or not columns.holds(parsed, annotations, _has_choices):
        return parsed

    def make(row: Row) -> Row:
        labels = list(_choices(columns.load(row[annotations])))
        cell = labels[0] if len(labels) == 1 else columns.dump_value(labels)
        return {"text": _longest_text(columns.load(row[data])), "label": cell if labels else ""}

    return columns.replace_columns(parsed, (annotations, data), ("text", "label"), make, CLASSES_TAKEN)


def _has_choices(cell: str) -> bool:
    return any(True for _ in _choices(columns.load(cell)))


def _choices(annotations: Any) -> Iterator[str]:
    """The choices of the first annotation that has any."""
    for annotation in annotations if isinstance(annotations, list) else ():
        results = annotation.get("result") if isinstance(annotation, Mapping) else None
        names = [name for result in results or () for name in _names(result)]
        if names:
            yield from dict.fromkeys(names)
            return


def _names(result: Any) -> Iterator[str]:
    """The names that one result chooses; of a taxonomy, each path joined."""
    value = result.get("value") if isinstance(result, Mapping) else None
    for key in CHOICE_KEYS:
        chosen = value.get(key) if isinstance(value, Mapping) else None
        for name in chosen if isinstance(chosen, list) else [chosen]:
            if isinstance(name, list):
                yield " / ".join(map(str, name))
            elif name is not None:
                yield str(name)


def _longest_text(data: Any) -> str:
    """The longest text among the fields of a task."""
    texts = [text for text in data.values() if isinstance(text, str)] if isinstance(data, Mapping) else []
    return max(texts, key=weighted_length, default="")
