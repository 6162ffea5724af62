"""The sentences of a decision: why a method was chosen, why the others were not, and what its data is."""

from studio import presets
from studio.chooser import rules, texts
from studio.chooser.answers import AMOUNT_RANGES, amount_choice, short_texts
from studio.chooser.autofill import likely_minutes
from studio.chooser.context import DecisionContext
from studio.chooser.dataset_summary import DatasetSummary
from studio.chooser.texts import TEXTS, fill_sentence
from studio.data.quality.minimum_examples import get_min_examples
from studio.estimate.types import Estimate
from studio.i18n import Message

# A method that takes this many times as long as the winner, and so many minutes longer, has that said of it.
SLOWER_FACTOR, SLOWER_MINUTES = 1.3, 1.0


def sentence_values(name: str, context: DecisionContext) -> dict[str, object]:
    """Everything that a sentence about a method may mention.

    `METHOD_over` is by how many GB that method does not fit.
    """
    estimate = context.estimates.get(name)
    values: dict[str, object] = {
        **short_texts(context.answers),
        "method": presets.methods()[name].name_in_sentence,
        "place": texts.machine_name(context.machine),
        "model": texts.model_name(context.model),
        "count": f"{context.dataset.count:,}",
        "wanted": f"{get_min_examples(name, context.dataset.task)[0]:,}",
        **dict.fromkeys(("need", "room", "over", "time", "cost"), ""),
    }
    for other, other_estimate in context.estimates.items():
        values[f"{other}_over"] = texts.format_gb(other_estimate.missing_gb)
    return values | (_estimate_values(estimate) if estimate else {})


def _estimate_values(estimate: Estimate) -> dict[str, object]:
    values: dict[str, object] = {"over": texts.format_gb(estimate.missing_gb)}
    if estimate.memory_gb:
        values["need"] = texts.format_gb(estimate.memory_gb.likely)
    if estimate.room_gb is not None:
        values["room"] = texts.format_gb(estimate.room_gb)
    if estimate.minutes:
        values["time"] = texts.format_duration(estimate.minutes.likely)
    if estimate.money and estimate.money.likely:
        values["cost"] = TEXTS.cost.format(price=texts.format_price(estimate.money, estimate.currency))
    return values


def build_reasons(name: str, context: DecisionContext) -> tuple[Message, ...]:
    """Three sentences for a method.

    What speaks most for it; what else does, or how the data compares with what it wants; and what it takes
    here.
    """
    top, *others = rules.matching_reasons(name, context.facts)
    second = next((reason.text for reason in others if not reason.is_general), None)
    sentences = (top.text, second or _amount_sentence(name, context), _cost_sentence(name, context))
    values = sentence_values(name, context)
    return tuple(fill_sentence(sentence, **values) for sentence in sentences)


def _cost_sentence(name: str, context: DecisionContext) -> Message:
    estimate = context.estimates.get(name)
    if estimate and estimate.fits == "yes":
        return TEXTS.fits
    if estimate and estimate.fits == "tight":
        return TEXTS.tight
    return TEXTS.open


def _amount_sentence(name: str, context: DecisionContext) -> Message:
    """Whether there are as many examples as a method wants.

    By their count where the answer agrees with it, else by the answer.
    """
    amount_answer, dataset = context.answers["many"], context.dataset
    min_examples = get_min_examples(name, dataset.task)[0]
    if dataset.sample_name or amount_choice(dataset.count) != amount_answer:
        return TEXTS.enough if min_examples <= AMOUNT_RANGES[amount_answer][0] else TEXTS.nearly
    return TEXTS.enough if min_examples <= dataset.count else TEXTS.under


def explain_rejection(name: str, winner: str, context: DecisionContext) -> Message:
    """Why a method was not chosen, in one line; the context's facts name the winner."""
    if name in context.exclusions:
        return context.exclusions[name].message
    rejection = rules.find_rejection(name, context.facts)
    values = {**sentence_values(name, context), "winner": presets.methods()[winner].name_in_sentence}
    sentence = fill_sentence(rejection.text, **values)
    estimate, winner_estimate = context.estimates.get(name), context.estimates.get(winner)
    if not rejection.timed or not estimate or not winner_estimate:
        return sentence
    if not _is_slower(estimate, winner_estimate):
        return sentence
    return fill_sentence(
        TEXTS.slower,
        line=sentence,
        its=texts.format_duration(likely_minutes(estimate)),
        won=texts.format_duration(likely_minutes(winner_estimate)),
    )


def _is_slower(estimate: Estimate, winner_estimate: Estimate) -> bool:
    """Whether a method clearly takes longer than the winner; not where nobody knows either."""
    if not estimate.minutes or not winner_estimate.minutes:
        return False
    minutes, winner_minutes = estimate.minutes.likely, winner_estimate.minutes.likely
    return minutes > SLOWER_FACTOR * winner_minutes and minutes > winner_minutes + SLOWER_MINUTES


def data_note(
    context: DecisionContext,
    user_dataset: DatasetSummary | None,
    name: str = "",
    reasons: tuple[Message, ...] = (),
) -> Message | None:
    """What the plan's data is, where it is not what the answers speak of, or less than the method wants.

    Args:
        context: What the decision is based on.
        user_dataset: The data at hand, as it was read; None where there is none.
        name: The method that was chosen; "" with advice.
        reasons: What was said already, and is not said twice.
    """
    dataset = context.dataset
    if dataset.sample_name:
        return _sample_note(context, user_dataset)
    if amount_choice(dataset.count) != context.answers["many"]:
        return fill_sentence(TEXTS.notes["count"], count=f"{dataset.count:,}")
    if not name or _amount_sentence(name, context) is not TEXTS.under:
        return None
    shortage = fill_sentence(TEXTS.under, **sentence_values(name, context))
    return None if shortage in reasons else shortage


def _sample_note(context: DecisionContext, user_dataset: DatasetSummary | None) -> Message:
    """Why the plan is made for a sample and not for the data at hand."""
    unusable_reason = user_dataset.unusable_reason if user_dataset else None
    if not user_dataset:
        kind = "none"
    elif unusable_reason and user_dataset.task == context.dataset.task:
        kind = "unfit"
    else:
        kind = "sample"
    return fill_sentence(
        TEXTS.notes[kind],
        sample=context.dataset.sample_name,
        why=unusable_reason or "",
        **short_texts(context.answers),
    )
