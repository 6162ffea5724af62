"""Settings that PEFT refuses are refused before a run, with PEFT's own reason and by a process of its own."""

import json
import subprocess

import pytest
from peft_cases import METHOD, TINY_CONFIG

from studio import plan as plans
from studio import runs
from studio.cli import train as train_command
from studio.errors import BadPlan, NotPossible
from studio.methods import peft, settings_check
from studio.models import load, shape
from studio.plan import MethodChoice

CONFLICT = {"oft_r": 4, "oft_oft_block_size": 32}
CONFLICT_REASON = "You can only specify either r (4) or oft_block_size (32)"
FROM_TEXT = {"type": "prompt_tuning", "prompt_tuning_prompt_tuning_init": "TEXT"}
REFUSED = [
    ({"type": "oft", **CONFLICT}, CONFLICT_REASON),
    ({"type": "oft", "oft_oft_block_size": 0}, "Either `r` or `oft_block_size` must be non-zero"),
    (FROM_TEXT, "prompt_tuning_init_text can't be None"),
]


def with_settings(plan, **settings):
    return plan.model_copy(update={"method": MethodChoice(name="peft", settings=settings)})


@pytest.fixture(autouse=True)
def no_cached_replies():
    """No reply of an earlier test is known, and none stays."""
    run_check = settings_check._run_check
    run_check.cache_clear()
    yield
    run_check.cache_clear()


@pytest.fixture
def without_child(monkeypatch):
    """Requests are answered in this process, which has imported PEFT already."""

    def answer(request):
        try:
            return settings_check.answer_request(json.loads(request))
        except OSError:  # the hub cannot be reached: a child process breaks off and says nothing
            return {}

    monkeypatch.setattr(settings_check, "_run_check", answer)


@pytest.fixture
def plan_for(make_plan):
    """`plan_for(model)`: a plan of PEFT's methods for a model of the catalogue, or for the tiny one."""

    def make(model):
        plan = make_plan("peft", "chat")
        return plan if model == "tiny" else plan.model_copy(update={"model": model})

    return make


@pytest.mark.parametrize(("settings", "reason"), REFUSED, ids=[reason[:24] for _, reason in REFUSED])
def test_what_peft_refuses_is_refused_with_peft_s_own_reason(settings, reason, tiny_chat):
    with pytest.raises(NotPossible) as caught:
        METHOD.attach(load.base_model(tiny_chat, "chat"), METHOD.resolve_settings(settings), "chat")
    assert caught.value.message.text == peft.PEFT_REFUSED.text
    assert reason in caught.value.render()
    assert reason in caught.value.render("zh")


def test_the_count_is_there_also_for_what_peft_refuses():
    for settings, _ in REFUSED:
        resolved = METHOD.resolve_settings(settings)
        assert METHOD.count_parameters(shape.from_config(TINY_CONFIG), resolved, 0).trainable >= 0


@pytest.mark.exhaustive
def test_a_process_of_its_own_says_peft_s_reason_before_the_run(plan_for):
    plan = plan_for("smollm2-135m")
    problem = settings_check.find_problem(with_settings(plan, type="oft", **CONFLICT))
    assert CONFLICT_REASON in problem.render()


@pytest.mark.parametrize("model", ["smollm2-135m", "qwen3-8b", "tiny"])
def test_peft_s_reason_is_said_for_models_that_are_here_and_that_are_not(model, plan_for, without_child):
    plan = plan_for(model)
    refused = with_settings(plan, type="oft", **CONFLICT)
    problem = settings_check.find_problem(refused)
    assert CONFLICT_REASON in problem.render()
    assert problem.render("zh").startswith("PEFT 拒绝了这些设置：You can only")
    assert settings_check.find_problem(with_settings(plan, type="oft")) is None


@pytest.mark.parametrize("model", ["qwen3-8b", "tiny"])
def test_a_text_to_begin_with_is_tried_too(model, plan_for, without_child):
    plan = plan_for(model)
    problem = settings_check.find_problem(with_settings(plan, **FROM_TEXT))
    assert "init_text can't be None" in problem.render()
    with_text = with_settings(plan, **FROM_TEXT, prompt_tuning_prompt_tuning_init_text="be kind")
    assert settings_check.find_problem(with_text) is None


def test_a_check_runs_only_once_for_the_same_and_not_at_all_where_nothing_can_be_refused(
    make_plan, monkeypatch
):
    requests = []

    def refuse_to_start(*arguments, **options):
        requests.append(options)
        return subprocess.CompletedProcess((), 1, "")

    monkeypatch.setattr(settings_check.processes, "run_module", refuse_to_start)
    for _ in range(2):
        assert settings_check.find_problem(with_settings(make_plan("peft", "chat"), type="lokr")) is None
    assert len(requests) == 1
    assert settings_check.find_problem(make_plan("lora", "chat")) is None
    unknown_model = with_settings(make_plan("peft", "chat"), type="vera").model_copy(
        update={"model": "who/knows"}
    )
    assert settings_check.find_problem(unknown_model) is None
    assert len(requests) == 1


def test_a_check_that_takes_too_long_says_nothing(make_plan, monkeypatch):
    monkeypatch.setattr(settings_check, "TIMEOUT_SECONDS", 0.01)
    refused = with_settings(make_plan("peft", "chat"), type="oft", **CONFLICT)
    assert settings_check.find_problem(refused) is None


def test_the_command_refuses_before_there_is_a_run(make_plan, tmp_path, without_child):
    path = tmp_path / "plan.yaml"
    refused = with_settings(make_plan("peft", "chat"), type="oft", **CONFLICT)
    path.write_text(plans.dump(refused), encoding="utf-8")
    with pytest.raises(BadPlan, match=r"method\.settings: PEFT refuses these settings: You can only specify"):
        train_command.train(str(path), ())
    assert runs.all_runs() == []
