"""A run that starts rests on counted tokens and traced steps, as well as its estimate can be known."""

from studio.estimate import all_methods
from studio.estimate.machines import catalogue


def test_before_a_start_tokens_are_counted_and_steps_traced(make_plan):
    plan, machine = make_plan("lora", "chat", max_length=None), catalogue.local_machine()
    guessed = all_methods.estimate_chosen_method(plan, machine)
    assert (guessed.level, bool(guessed.missing)) == ("formula", True)
    known = all_methods.estimate_before_start(plan, machine)
    assert (known.level, known.missing) == ("traced", ())


def test_data_that_cannot_be_read_is_left_to_the_run_to_say(make_plan):
    plan = make_plan()
    nowhere = plan.model_copy(update={"data": plan.data.model_copy(update={"source": "dataset:none"})})
    assert all_methods.estimate_before_start(nowhere, catalogue.local_machine()) is None
