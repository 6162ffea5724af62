"""Before a run starts the Method tab says how many rows will judge it, and what they can show."""

import pytest
from form_fields import DEFAULT_SETTINGS

from studio.data import store
from studio.evaluate import paired
from studio.evaluate.evidence import ALPHA
from studio.ui.form.form_state import read_form
from studio.ui.method import held_out


def read_sample_form(**changed):
    return read_form({"source": "", "task": "chat", "columns": {}, **DEFAULT_SETTINGS, **changed})


def describe(n_examples, shares):
    return held_out.describe(read_sample_form(), n_examples, shares, "en")


def test_a_test_part_is_counted_and_what_it_can_show_is_said():
    text = describe(980, (0.1, 0.1))
    points = round(100 * paired.visible_difference(98))
    assert (
        text == f"98 test rows will judge the result. They can show differences of {points} points or more."
    )


def test_validation_rows_must_show_more():
    text = describe(980, (0.1, 0.0))
    points = round(100 * paired.visible_difference(98, alpha=ALPHA["validation"]))
    assert "validation rows" in text
    assert f"{points} points" in text
    assert points > round(100 * paired.visible_difference(98))


@pytest.mark.parametrize(
    ("n_examples", "shares", "n", "share"),
    [
        (140, (0.1, 0.1), 14, 0.15),  # 21 rows
        (60, (0.1, 0.0), 6, 0.35),  # 21 rows
        (30, (0.1, 0.1), 3, 0),  # half of them are 15 rows
        (200, (0.1, 0.1), 20, 0),
    ],
)
def test_fewer_than_twenty_rows_come_with_a_button_for_a_larger_test_part(n_examples, shares, n, share):
    notice, button, offered = held_out.offer_larger_test(read_sample_form(), n_examples, shares, "en")
    assert notice["text"] == (held_out.TOO_FEW.render(n=n) if n < 20 else "")
    assert offered == share
    assert button["visible"] == (share > 0)
    if share:
        assert button["value"] == held_out.USE_SHARE.render(share=share, count=21)


def test_a_test_set_of_its_own_is_not_cut_from_the_data(tmp_path):
    path = tmp_path / "test.csv"
    path.write_text("customer,reply\nwhere is it?,on its way\nand now?,here it is\n", encoding="utf-8")
    form = read_sample_form(test=store.add(path).source)
    notice, button, share = held_out.offer_larger_test(form, 140, (0.1, 0.1), "en")
    assert notice["text"] == held_out.TOO_FEW.render(n=2)
    assert (button["visible"], share) == (False, 0)
