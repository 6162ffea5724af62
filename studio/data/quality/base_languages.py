"""Whether a base model knows the languages that a data set is written in, and which base does."""

from collections.abc import Sequence

from studio import presets
from studio.data.quality import language_id, row_checks
from studio.i18n import Message
from studio.plan import Task
from studio.presets import ModelCard

# A language counts as one of the data's from this share of its texts on (0–1); so many rows are looked at.
MIN_SHARE, MAX_ROWS = 0.1, 200
HARDLY_KNOWS = Message("{model} hardly knows {languages}; {other} does, and is downloaded from the hub.")
NOBODY_KNOWS = Message("{model} hardly knows {languages}, and no base model in the list does.")

LANGUAGE_ADVICE = Message(
    "Results will be poor. Choose another base model on the Method tab, or use data in a language this one "
    "knows."
)


def find_languages(row_texts: Sequence[Sequence[str]], task: Task) -> tuple[str, ...]:
    """The languages of at least MIN_SHARE of the inputs or of the answers, codes of `language_id`.

    Latin script whose language is not certain counts for none.

    Args:
        row_texts: The texts of each example, its input first (`table_view.extract_texts`).
        task: What a model is to learn; the labels of texts to classify have no language.
    """
    rows = [row_texts[index] for index in row_checks.sample_evenly(range(len(row_texts)), MAX_ROWS)]
    n_sides = 1 if task == "classify" else 2
    sides = [[texts[side] for texts in rows if len(texts) > side] for side in range(n_sides)]
    return tuple(dict.fromkeys(language for texts in sides for language in _common_languages(texts)))


def _common_languages(texts: Sequence[str]) -> list[str]:
    mix = language_id.detect_mix(texts)
    counts = {mix.main: mix.n_texts - len(mix.other_indices), **mix.others}
    return [
        language
        for language, count in counts.items()
        if language not in ("", "latin") and count >= MIN_SHARE * mix.n_texts
    ]


def unknown_languages(languages: Sequence[str], model: str) -> tuple[str, ...]:
    """Those of the languages that a base model hardly knows; none where it is not in the catalogue."""
    card = presets.models().get(model)
    return tuple(code for code in languages if code not in card.languages.codes) if card else ()


def language_warning(languages: Sequence[str], model: str) -> Message | None:
    """What is said where a base model hardly knows a language of the data.

    Args:
        languages: The languages of the data (`find_languages`).
        model: The base model; of one that is not in the catalogue nothing is known.

    Returns:
        A sentence that names the nearest base which knows them; None where there is nothing to warn of.
    """
    unknown = unknown_languages(languages, model)
    if not unknown:
        return None
    names = [language_id.language_name(code) for code in unknown]
    values = {"model": presets.models()[model].name, "languages": names}
    nearest = nearest_base(languages, model)
    if nearest == model:
        return NOBODY_KNOWS.format(**values)
    return HARDLY_KNOWS.format(other=presets.models()[nearest].name, **values)


def nearest_base(languages: Sequence[str], model: str) -> str:
    """The first base of the catalogue that does the tasks of `model` and knows these languages.

    One made for the same tasks comes first, one behind a licence to accept last. `model` itself where it
    knows them, or where no base does.
    """
    wanted = presets.models()[model]
    if not unknown_languages(languages, model):
        return model
    candidates = [
        card
        for card in presets.models().values()
        if set(wanted.tasks) <= set(card.tasks) and set(languages) <= set(card.languages.codes)
    ]

    def distance(card: ModelCard) -> tuple[bool, bool]:
        return card.gated, set(card.tasks) != set(wanted.tasks)

    return min(candidates, key=distance, default=wanted).id
