"""What fits into max length is counted for each part; a part without any is refused with its reason."""

from dataclasses import replace

import pytest

from studio import methods
from studio.data.split import Splits
from studio.errors import BadData
from studio.estimate.all_methods import find_base_model
from studio.estimate.dataset_lengths import DatasetLengths
from studio.methods.workload import RowTokens
from studio.plan import Data, MethodChoice, Plan, Training
from studio.ui.form import fitting

SHORT, LONG = RowTokens(20, 30, 30), RowTokens(20, 300, 300)
DPO = methods.get("rlhf").resolve_settings({"algorithm": "dpo", "sft": False})
PLAN = Plan(
    task="prefer",
    model="smollm2-135m",
    data=Data(source="x"),
    method=MethodChoice(name="rlhf"),
    training=Training(max_length=96),
)


def count(monkeypatch, train, validation, is_exact=True):
    """Count pairs of these lengths."""
    rows = (*train, *validation)
    lengths = DatasetLengths(rows, len(rows), 0, 0, is_exact, in_order=rows)
    monkeypatch.setattr(fitting.dataset_lengths, "measure_lengths", lambda plan, folder: lengths)
    pairs = [{"prompt": str(index)} for index in range(len(rows))]
    splits = Splits(pairs[: len(train)], pairs[len(train) :], [])
    return fitting.count_fitting(PLAN, DPO, find_base_model("smollm2-135m"), pairs, splits)


def test_pairs_that_fit_whole_are_counted_in_each_part(monkeypatch):
    fit = count(monkeypatch, [SHORT] * 17 + [LONG] * 19, [SHORT, LONG, LONG, LONG])
    assert (fit.train, fit.validation) == ((17, 36), (1, 4))
    assert fit.describe() == fitting.SOME_FIT.format(
        train="17", all_train="36", validation="1", all_validation="4", length="96"
    )
    fit.require_some()


def test_where_no_held_out_pair_fits_the_start_is_refused_for_that_reason(monkeypatch):
    fit = count(monkeypatch, [SHORT] * 17 + [LONG] * 19, [LONG] * 4)
    with pytest.raises(BadData) as caught:
        fit.require_some()
    assert caught.value.message.text == fitting.NO_VALIDATION_FITS.text
    assert caught.value.hint == fitting.RAISE_LIMIT.format(needed="320"), "20 + 300 tokens"


def test_what_was_only_guessed_from_characters_refuses_nothing(monkeypatch):
    fit = count(monkeypatch, [SHORT], [LONG], is_exact=False)
    fit.require_some()
    assert fit.is_empty


def test_where_everything_fits_there_is_nothing_to_say(monkeypatch):
    fit = count(monkeypatch, [SHORT] * 8, [SHORT])
    assert fit.describe() is None
    assert not fit.is_empty


def test_what_was_not_counted_row_by_row_is_not_known(monkeypatch):
    assert count(monkeypatch, [SHORT], [SHORT]) is not None
    lengths = DatasetLengths((SHORT,), 5000, 0, 0, is_exact=True)
    monkeypatch.setattr(fitting.dataset_lengths, "measure_lengths", lambda plan, folder: replace(lengths))
    pairs = [{"prompt": "a"}]
    base = find_base_model("smollm2-135m")
    assert fitting.count_fitting(PLAN, DPO, base, pairs, Splits(pairs, [], [])) is None
