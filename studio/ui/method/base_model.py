"""What the page says of a base model: what it is, whether it is here, and which weights are in use."""

from typing import Any

from studio import presets
from studio.errors import StudioError
from studio.i18n import Message
from studio.models import fetch, shape
from studio.models.shape import ModelShape
from studio.ui import access
from studio.ui.components import forms

MODEL_SUMMARY = Message("{name}: {count} parameters, licence {licence}. {about} {weights}")
WEIGHTS_HERE = Message("Weights in use: {note}.")
WEIGHTS_WHEEL = Message(
    "Not downloaded yet: fetched once when training starts, from the Hugging Face hub where it answers, else from the Python package index ({megabytes:.0f} MB)."
)
WEIGHTS_HUB = Message("Not downloaded yet: fetched from the hub when training starts.")
MODEL_NOT_LISTED = Message(
    "“{name}” is not in the list; it is looked up when training starts, and counted then."
)


def describe_model(model: str, lang: str) -> tuple[ModelShape | None, dict[str, Any]]:
    """The shape of a model, None where nobody knows it yet, and a sentence on it for a notice box."""
    card = presets.models().get(model)
    try:
        access.check_model(model)
        model_shape = shape.from_config(card.config) if card else None
        cached_model = fetch.find_cached(model)
        if model_shape is None and cached_model:
            model_shape = shape.from_folder(cached_model.folder)
    except StudioError as error:
        return None, forms.error_notice(error, lang)
    if not card:
        name = cached_model.name if cached_model else model
        text = (
            MODEL_NOT_LISTED.render(lang, name=name)
            if not model_shape
            else WEIGHTS_HERE.render(lang, note=cached_model.note if cached_model else "")
        )
        return model_shape, forms.notice(text)
    if cached_model:
        weights = WEIGHTS_HERE.render(lang, note=cached_model.note)
    else:
        weights = (
            WEIGHTS_WHEEL.render(lang, megabytes=card.wheel.bytes / 1e6)
            if card.wheel
            else WEIGHTS_HUB.render(lang)
        )
    count = forms.format_count(model_shape.total()) if model_shape else "?"
    return model_shape, forms.notice(
        MODEL_SUMMARY.render(
            lang, name=card.name, count=count, licence=card.licence, about=card.about, weights=weights
        )
    )
