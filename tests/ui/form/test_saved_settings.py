"""What a browser has saved of the settings is put back only where it fits."""

import pytest

from studio.ui.form.saved_settings import is_valid_saved_value, read_restorable_values


@pytest.mark.parametrize(
    ("name", "value", "is_valid"),
    [
        ("lora_rank", 8, True),
        ("lora_rank", 0, False),
        ("lora_rank", "8", False),
        ("lora_targets", "attention", True),
        ("lora_targets", "<b>", False),
        ("epochs", 2.5, True),
        ("epochs", -1, False),
        ("learning_rate", 0, True),
        ("learning_rate", 5, False),
        ("validation_share", 0.2, True),
        ("validation_share", 7, False),
        ("no_such", 1, False),
    ],
)
def test_only_a_value_its_field_can_take_is_put_back(name, value, is_valid):
    assert is_valid_saved_value(name, value) == is_valid
    state = {"source": "a", "values": {name: value}}
    edited = {"source": "a", "names": [name]}
    assert (name in read_restorable_values("a", state, edited)) == is_valid


def test_values_of_other_data_and_suggestions_nobody_changed_are_not_put_back():
    state = {"source": "a", "values": {"epochs": 5, "seed": 7}}
    assert read_restorable_values("a", state, {}) == {"seed": 7}
    assert read_restorable_values("a", state, {"source": "a", "names": ["epochs"]}) == {
        "epochs": 5,
        "seed": 7,
    }
    assert read_restorable_values("b", state, {}) == {}
    for nonsense in (None, [], {"source": "a", "values": 3}):
        assert read_restorable_values("a", nonsense, {}) == {}
