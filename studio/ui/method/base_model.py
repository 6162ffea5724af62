"""What the page says about a base model: what it is, whether it is here, and which weights are in use."""

from typing import Any

from studio import presets
from studio.errors import StudioError
from studio.i18n import Message, join_sentences
from studio.methods import folder_check
from studio.models import fetch, shape
from studio.models.fetch import FetchedModel
from studio.models.shape import ModelShape
from studio.plan import Task
from studio.presets import ModelCard
from studio.ui import access, units
from studio.ui.components import notices

MODEL_SUMMARY = Message("{name}: {size}, licence {licence}. {about} {weights}")
FOLDER_SUMMARY = Message("{name}: {size}, of the family “{family}”. Weights in use: {note}.")
SIZE = Message("{count} parameters")
# Of a mixture of experts, each token goes through a few.
SIZE_OF_MIXTURE = Message("{count} parameters, of which {active} compute each token")
CHOICE = Message("{name} · {count}")
CHOICE_OF_MIXTURE = Message("{name} · {count}, {active} for each token")
WEIGHTS_HERE = Message("Weights in use: {note}.")
WEIGHTS_WHEEL = Message(
    "Downloads once when training starts ({megabytes:.0f} MB), from the Hugging Face hub or the Python"
    " package index."
)
WEIGHTS_HUB = Message("Downloads from the Hugging Face hub when training starts.")
MODEL_NOT_LISTED = Message(
    "“{name}” is not in the list; it is looked up when training starts, and counted then."
)


def describe_model(model: str, task: Task, lang: str, warning: str = "") -> dict[str, Any]:
    """The notice about a base model: what it is, and what an examination of its folder found.

    Args:
        model: Catalogue id, hub id or folder.
        task: What it is to learn.
        lang: The visitor's language.
        warning: What it hardly knows of the data's languages; "" for nothing.
    """
    card = presets.models().get(model)
    try:
        access.check_model(model)
        cached_model = fetch.find_cached(model)
        model_shape = _find_shape(card, cached_model)
        remarks = folder_check.require_startable(model, task)
    except StudioError as error:
        return notices.error_notice(error, lang)
    if not card:
        details = [sentence.render(lang) for remark in remarks for sentence in (remark.message, remark.to_do)]
        sentence = _describe_unlisted(model, cached_model, model_shape).render(lang)
        return notices.notice(sentence, join_sentences(details, lang), warning=warning)
    summary = MODEL_SUMMARY.render(
        lang,
        name=card.name,
        size=describe_size(model_shape) if model_shape else "?",
        licence=card.licence,
        about=card.about,
        weights=_describe_weights(card, cached_model),
    )
    return notices.notice(summary, warning=warning)


def describe_size(model_shape: ModelShape) -> Message:
    """How many parameters a model has, and how many of them compute each token where not all do."""
    message = SIZE_OF_MIXTURE if model_shape.experts.count else SIZE
    return message.format(**_counts(model_shape))


def describe_choice(card: ModelCard) -> Message:
    """A model of the catalogue in the list of models: its name and its size."""
    model_shape = shape.from_config(card.config)
    message = CHOICE_OF_MIXTURE if model_shape.experts.count else CHOICE
    return message.format(name=card.name, **_counts(model_shape))


def _counts(model_shape: ModelShape) -> dict[str, str]:
    return {
        "count": units.format_count(model_shape.total()),
        "active": units.format_count(model_shape.active()),
    }


def _find_shape(card: ModelCard | None, cached_model: FetchedModel | None) -> ModelShape | None:
    """The shape by the card's config, else by that of the weights that are here; None where neither tells."""
    model_shape = shape.from_config(card.config) if card else None
    if model_shape is None and cached_model:
        return shape.from_folder(cached_model.folder)
    return model_shape


def _describe_unlisted(
    model: str, cached_model: FetchedModel | None, model_shape: ModelShape | None
) -> Message:
    if not model_shape:
        return MODEL_NOT_LISTED.format(name=cached_model.name if cached_model else model)
    return FOLDER_SUMMARY.format(
        name=cached_model.name if cached_model else model,
        size=describe_size(model_shape),
        family=model_shape.family,
        note=cached_model.note if cached_model else "",
    )


def _describe_weights(card: ModelCard, cached_model: FetchedModel | None) -> Message:
    if cached_model:
        return WEIGHTS_HERE.format(note=cached_model.note)
    if card.wheel:
        return WEIGHTS_WHEEL.format(megabytes=card.wheel.bytes / 1e6)
    return WEIGHTS_HUB
