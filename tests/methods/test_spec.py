"""A setting's other names: those of earlier studios and of PEFT are read wherever a plan is."""

import pytest
import yaml

from studio import methods, plan, runs
from studio.methods import METHODS, spec

OLD_RLHF = {"way": "grpo", "kl": 0.1, "answers": 8, "questions": 2, "answer_tokens": 32}
NEW_RLHF = {
    "algorithm": "grpo",
    "beta": 0.1,
    "num_generations": 8,
    "prompts_per_step": 2,
    "max_completion_length": 32,
}
PEFT_LORA = {
    "r": 4,
    "lora_alpha": 8,
    "lora_dropout": 0.1,
    "target_modules": "attention",
    "use_rslora": True,
    "use_dora": True,
}
LORA = {"rank": 4, "alpha": 8, "dropout": 0.1, "targets": "attention", "rslora": True, "dora": True}
RENAMED = [
    ("rlhf", "prefer", OLD_RLHF, NEW_RLHF),
    ("upft", "prompts", {"opening": 4}, {"prefix_length": 4}),
    ("lora", "chat", PEFT_LORA, LORA),
    ("qlora", "chat", PEFT_LORA, LORA),
]


@pytest.mark.parametrize(("method", "task", "old", "new"), RENAMED, ids=[case[0] for case in RENAMED])
def test_a_plan_with_old_keys_opens_and_means_the_same(method, task, old, new, tmp_path):
    raw = {
        "task": task,
        "model": "smollm2-135m",
        "data": {"source": "sample:support-tone"},
        "method": {"name": method, "settings": old},
    }
    path = tmp_path / "plan.yaml"
    path.write_text(yaml.safe_dump(raw), encoding="utf-8")
    opened = plan.load(path, (), (methods.find_plan_problems,))
    resolved = methods.get(method).resolve_settings(opened.method.settings)
    assert resolved == methods.get(method).resolve_settings(new)
    assert {name: resolved[name] for name in new} == new
    changed = plan.load(path, (f"method.settings.{next(iter(old))}={next(iter(old.values()))}",))
    assert changed.method.settings == old


def test_a_run_of_an_earlier_studio_still_has_its_settings():
    old_plan = plan.Plan(
        task="prefer",
        model="smollm2-135m",
        data=plan.Data(source="sample:support-preference"),
        method=plan.MethodChoice(name="rlhf", settings=OLD_RLHF),
    )
    run = runs.get(runs.create(old_plan).id)
    resolved = methods.get("rlhf").resolve_settings(run.plan.method.settings)
    assert {name: resolved[name] for name in NEW_RLHF} == NEW_RLHF
    assert methods.get("rlhf").export_formats(run.plan.method.settings) == ("merged",)


def test_a_wrong_value_is_told_under_the_key_that_was_written():
    (problem,) = methods.get("rlhf").find_problems({"kl": 2})
    assert (problem.key, problem.message.text) == ("kl", spec.OUT_OF_RANGE.text)


def test_a_setting_under_two_names_at_once_is_refused():
    problems = methods.get("lora").find_problems({"rank": 4, "r": 8})
    assert [(problem.key, problem.message) for problem in problems] == [
        ("r", spec.SET_TWICE.format(name="rank"))
    ]


@pytest.mark.parametrize("method", METHODS, ids=lambda method: method.name)
def test_no_name_or_alias_means_two_settings(method):
    keys = [key for setting in method.settings for key in (setting.name, *setting.aliases)]
    assert len(keys) == len(set(keys))
