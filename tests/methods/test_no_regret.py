"""A LoRA's plan is questioned where it leaves the conditions of "LoRA Without Regret", and nowhere else."""

import pytest

from studio import methods
from studio.methods import no_regret
from studio.models import shape as shapes
from studio.plan import MethodChoice, Training


@pytest.fixture
def find_hints(make_plan, tiny_chat):
    """`find_hints(method, settings={}, **training)`: the hints for a plan on the tiny chat model."""

    def find(method, settings=None, **training):
        plan = make_plan("lora", "chat").model_copy(
            update={
                "method": MethodChoice(name=method, settings=settings or {}),
                "training": Training(**training),
            }
        )
        return [hint.text for hint in no_regret.find_hints(plan, shapes.from_folder(tiny_chat))]

    return find


@pytest.mark.parametrize("method", methods.METHODS, ids=lambda method: method.name)
def test_no_method_is_questioned_on_its_defaults(method, find_hints):
    assert find_hints(method.name) == []


def test_the_defaults_of_a_lora_are_within_the_bounds_for_every_embedded_model(bases, make_plan):
    for task in ("chat", "classify"):
        plan, shape = make_plan("lora", task), shapes.from_folder(bases(task))
        rate = methods.get("lora").learning_rate(shape, {}, task)
        training = plan.training.model_copy(update={"learning_rate": rate, "batch_size": 32})
        assert not no_regret.find_hints(plan.model_copy(update={"training": training}), shape)


# Full fine-tuning of the tiny model takes 5e-5, so 1.5e-4 to 1.5e-3 are not questioned.
@pytest.mark.parametrize(
    ("setting", "hint"),
    [
        ({"settings": {"targets": "attention"}}, no_regret.ALL_LAYERS),
        ({"learning_rate": 1.4e-4}, no_regret.LOW_RATE),
        ({"learning_rate": 1.6e-3}, no_regret.HIGH_RATE),
        ({"batch_size": 33}, no_regret.LARGE_BATCH),
    ],
    ids=["layers", "low rate", "high rate", "large batch"],
)
@pytest.mark.parametrize("method", no_regret.LORA_METHODS)
def test_what_a_lora_learns_less_well_with_is_said(method, setting, hint, find_hints):
    assert find_hints(method, **setting) == [hint.text]
    assert find_hints("full", **{key: value for key, value in setting.items() if key != "settings"}) == []


def test_the_usual_rate_is_ten_times_that_of_full_fine_tuning(make_plan, tiny_chat):
    plan = make_plan("lora", "chat", learning_rate=1e-6)
    (hint,) = no_regret.find_hints(plan, shapes.from_folder(tiny_chat))
    assert "about ten times that of full fine-tuning works best, here 5e-4." in hint.render()
