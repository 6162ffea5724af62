"""A prompt to try on the base model right away, filled with the person's own examples."""

from studio.wizard.answers import HAVE, Answers
from studio.wizard.case import SHOWN, Case, Shown
from studio.wizard.texts import WORDS
from studio.words import LANGUAGES, Words


def fitting(answers: Answers, case: Case | None) -> Words:
    """The prompt for what should change, with up to SHOWN examples of the data at hand; words in brackets stand for what it does not hold."""
    have = answers["have"]
    shown = case.shown if case and HAVE[case.task] == have else ()
    asked = shown[-1].question if shown else ""
    if answers["change"] == "knowledge":
        page = shown[0].answer if shown and have in ("answers", "texts") else ""  # what a search would find
        about = shown[0].question if shown and have != "labels" else ""
        blanks = WORDS.blanks["knowledge"]
        return WORDS.prompts["knowledge"].filled(answer=page or blanks["answer"], question=about or blanks["asked"])
    kind, form = _kind(answers["change"], have)
    labels = case.labels if shown and case else ()
    told: dict[str, object] = {"question": asked or WORDS.blanks[form]["asked"]}
    if form in WORDS.example:
        told["examples"] = _listed(shown[:-1][:SHOWN] if have in (form, "answers") else (), form)
    if form == "labels":
        told["labels"] = Words(", ".join(labels), "、".join(labels)) if labels else WORDS.blanks[form]["labels"]
    return WORDS.prompts[kind].filled(**told)


def _kind(change: str, have: str) -> tuple[str, str]:
    """Which prompt, and the form of its examples."""
    if have == "pairs":
        return "pairs", "pairs"
    if change == "decisions":
        kind = {"labels": "labels", "questions": "steps"}.get(have, "decisions")
        return kind, kind
    return ("texts", "texts") if have == "texts" else (change, "answers")


def _listed(shown: tuple[Shown, ...], form: str) -> Words:
    """Examples one after the other; a blank one where there is none to show."""
    values: list[dict[str, object]] = [{"question": one.question, "answer": one.answer, "worse": one.worse} for one in shown]
    made = [WORDS.example[form].filled(**told) for told in values or [dict(WORDS.blanks[form])]]
    return Words(*("\n\n".join(one.say(language) for one in made) for language in LANGUAGES))
