"""A plan is checked whole, tells all its problems at once, and survives the way to YAML and back."""

import re

import pytest
import yaml

from studio import methods, plan, presets
from studio.errors import BadPlan
from studio.plan import REQUIRED_ROLES, Plan

GOOD = {
    "task": "chat",
    "model": "smollm2-135m",
    "data": {"source": "sample:support-tone"},
    "method": {"name": "lora"},
}


def find_problems(raw):
    """Everything that the command line and the page would say about a raw plan."""
    with pytest.raises(BadPlan) as caught:
        plan.parse(raw, "plan.yaml", (methods.find_plan_problems,))
    return caught.value.problems


def write_plan(tmp_path, raw):
    file = tmp_path / "plan.yaml"
    file.write_text(raw if isinstance(raw, str) else yaml.safe_dump(raw), encoding="utf-8")
    return file


def test_a_short_plan_is_completed_with_defaults():
    parsed = plan.parse(GOOD, "here")
    assert (parsed.training.epochs, parsed.training.batch_size, parsed.training.seed) == (
        None,
        None,
        42,
    )  # by the data: methods/defaults.py
    assert parsed.data.validation_share == 0.1
    assert parsed.training.learning_rate is None


def test_a_plan_cannot_be_changed():
    with pytest.raises(Exception, match="frozen"):
        plan.parse(GOOD, "here").name = "other"


def test_a_plan_survives_the_way_to_yaml_and_back(tmp_path):
    first = plan.parse(
        {
            **GOOD,
            "name": "客服语气 “tone”",
            "method": {"name": "lora", "settings": {"rank": 8, "dropout": 0.1, "targets": "all"}},
        },
        "here",
    )
    text = plan.dump(first)
    assert plan.load(write_plan(tmp_path, text)) == first
    assert "客服语气" in text


@pytest.mark.parametrize("recipe", sorted(presets.recipes()))
def test_every_recipe_is_a_good_plan(recipe):
    parsed = plan.load(presets.recipes()[recipe], (), (methods.find_plan_problems,))
    assert isinstance(parsed, Plan)


def test_all_problems_are_told_at_once_each_with_file_and_key(tmp_path):
    raw = {
        "task": "chat",
        "data": {"source": "a.csv", "columns": {"prompt": "question", "label": "kind"}},
        "method": {"name": "lora", "settings": {"rank": 0, "rang": 4}},
        "training": {"epochs": -1, "batch_sise": 4},
    }
    file = write_plan(tmp_path, raw)
    with pytest.raises(BadPlan) as caught:
        plan.load(file, (), (methods.find_plan_problems,))
    problems = caught.value.problems
    assert all(problem.startswith(f"{file}: ") for problem in problems)
    keys = {problem.removeprefix(f"{file}: ").split(": ")[0] for problem in problems}
    assert keys == {
        "model",
        "data.columns.label",
        "data.columns.response",
        "method.settings.rank",
        "method.settings.rang",
        "training.epochs",
        "training.batch_sise",
    }
    assert len(problems) == 7


def test_an_unknown_key_is_named():
    assert find_problems({**GOOD, "modell": "x"}) == ("plan.yaml: modell: is not a key of a plan",)


def test_a_missing_key_is_named():
    assert find_problems({key: value for key, value in GOOD.items() if key != "model"}) == (
        "plan.yaml: model: is missing",
    )


def test_a_wrong_value_is_named_with_what_is_expected():
    (problem,) = find_problems({**GOOD, "training": {"epochs": "many"}})
    assert problem.startswith("plan.yaml: training.epochs: expected ")
    assert "'many'" in problem


def test_a_method_not_built_yet_is_told_from_one_that_does_not_exist():
    ready = {method.name for method in methods.METHODS}
    coming = [name for name in presets.methods() if name not in ready]
    for name in coming:
        (problem,) = find_problems({**GOOD, "method": {"name": name}})
        assert "method.name: is not built yet" in problem
    (problem,) = find_problems({**GOOD, "method": {"name": "magic"}})
    assert "method.name: there is no method 'magic'; choose " in problem


def test_a_model_that_does_not_fit_the_task_is_told_with_one_that_does():
    (problem,) = find_problems({**GOOD, "model": "minilm-l6"})
    assert problem.startswith("plan.yaml: method.name: lora for 'chat': This base model only reads")
    assert "SmolLM2 135M Instruct" in problem


@pytest.mark.parametrize(("task", "instead"), [("prefer", "RLHF"), ("prompts", "UPFT")])
def test_a_task_the_method_does_not_train_is_told_with_what_does(task, instead):
    (problem,) = find_problems({**GOOD, "task": task})
    assert problem.startswith(f"plan.yaml: method.name: lora for '{task}': ")
    assert instead in problem


COLUMNS = [
    ("chat", {"prompt": "a", "response": "b"}),
    ("chat", {"messages": "a"}),
    ("complete", {"text": "a"}),
    ("classify", {"text": "a", "label": "b"}),
    ("prefer", {"prompt": "a", "chosen": "b", "rejected": "c"}),
    ("prompts", {"prompt": "a"}),
    ("prompts", {"prompt": "a", "answer": "b"}),
    ("complete", {}),
]


@pytest.mark.parametrize(("task", "columns"), COLUMNS)
def test_every_task_takes_its_roles_and_those_that_may_stand_beside(task, columns):
    assert plan.find_problems({**GOOD, "task": task, "data": {"source": "a.csv", "columns": columns}}) == []
    if columns:
        assert plan.active_roles(task, columns) == tuple(columns)


@pytest.mark.parametrize(
    ("task", "columns", "sentence"),
    [
        (
            "chat",
            {"messages": "a", "rejected": "b"},
            "data.columns.rejected: the task chat has the roles prompt, response, messages, context, "
            "system, group",
        ),
        ("prefer", {"prompt": "a", "chosen": "b"}, "data.columns.rejected: is missing; name the column"),
        ("prompts", {"answer": "a"}, "data.columns.prompt: is missing; name the column"),
        ("complete", {"prompt": "a"}, "data.columns.prompt: the task complete has the roles text, group"),
    ],
)
def test_a_role_too_many_or_too_few_is_told_with_those_of_the_task(task, columns, sentence):
    problems = plan.find_problems({**GOOD, "task": task, "data": {"source": "a.csv", "columns": columns}})
    assert sentence in [problem.render() for problem in problems]


@pytest.mark.parametrize(
    ("part", "key"),
    [
        ({"task": ["chat"]}, "task"),
        ({"task": None}, "task"),
        ({"model": {"id": "smollm2-135m"}}, "model"),
        ({"data": "a.csv"}, "data"),
        ({"data": {"source": "a.csv", "columns": ["prompt", "response"]}}, "data.columns"),
        ({"method": "lora"}, "method"),
        ({"method": {"name": ["lora"]}}, "method.name"),
        ({"method": {"name": "lora", "settings": [16]}}, "method.settings"),
        (
            {"method": {"name": "lora", "settings": {"targets": ["q_proj", "v_proj"]}}},
            "method.settings.targets",
        ),
        ({"method": {"name": "lora", "settings": {"rank": {"a": 1}}}}, "method.settings.rank"),
        ({"method": {"name": "lora", "settings": {"rank": float("nan")}}}, "method.settings.rank"),
        ({"method": {"name": "lora", "settings": {"rank": 1.5}}}, "method.settings.rank"),
        ({"method": {"name": "lora", "settings": {"rank": True}}}, "method.settings.rank"),
        ({"training": []}, "training"),
        ({"training": {"epochs": float("inf")}}, "training.epochs"),
        ({"training": {"epochs": {}}}, "training.epochs"),
        ({1: 2}, "1"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_a_value_of_any_shape_in_any_place_is_a_problem_with_a_key_and_not_a_crash(part, key):
    problems = find_problems({**GOOD, **part})
    assert {problem.removeprefix("plan.yaml: ").split(": ")[0] for problem in problems} == {key}


def test_general_examples_go_with_questions_and_answers_alone():
    training = {"training": {"replay_share": 0.2}}
    assert plan.parse({**GOOD, **training}, "plan.yaml").training.replay_share == 0.2
    (problem,) = plan.find_problems({**GOOD, **training, "task": "complete"})
    assert (problem.key, problem.message) == ("training.replay_share", plan.REPLAY_NOT_APPLICABLE)


INVALID = {
    **GOOD,
    "task": "x",
    "model": "",
    "name": "n" * 200,
    "training": {
        "epochs": -1,
        "batch_size": 3,
        "gradient_accumulation_steps": 2.5,
        "seed": "s",
        "warmup_ratio": 9,
        "lr_scheduler_type": "x",
        "gradient_checkpointing": 7,
    },
}


@pytest.mark.parametrize(
    "raw",
    [
        INVALID,
        {**GOOD, "training": {"batch_size": 8, "gradient_accumulation_steps": 3}},
        {**GOOD, "training": 3, "data": None},
    ],
)
def test_whatever_is_wrong_with_a_plan_is_said_in_chinese_too(raw):
    problems = plan.find_problems(raw)
    assert problems
    assert [
        problem.message.render()
        for problem in problems
        if not re.match("[还应计不]", problem.message.render("zh"))
    ] == []


@pytest.mark.parametrize("raw", ["", "- a\n- b\n", "just words", "42"])
def test_a_file_without_keys_is_a_bad_plan(tmp_path, raw):
    with pytest.raises(BadPlan, match="expected keys and values"):
        plan.load(write_plan(tmp_path, raw))


def test_a_file_that_is_no_yaml_is_a_bad_plan(tmp_path):
    with pytest.raises(BadPlan, match="is not valid YAML"):
        plan.load(write_plan(tmp_path, "task: [chat\nmodel: {"))


def test_a_file_that_is_no_text_or_not_there_is_a_bad_plan(tmp_path):
    with pytest.raises(BadPlan, match="there is no such file"):
        plan.load(tmp_path / "none.yaml")
    (tmp_path / "plan.yaml").write_bytes(b"\xff\xfe\x00\x81")
    with pytest.raises(BadPlan, match="cannot be read"):
        plan.load(tmp_path / "plan.yaml")
    with pytest.raises(BadPlan, match="cannot be read"):
        plan.load(tmp_path)


def test_set_changes_one_key_and_makes_its_parents(tmp_path):
    file = write_plan(tmp_path, GOOD)
    parsed = plan.load(
        file, ("method.settings.rank=4", "training.epochs=0.5", "name=Other", "training.learning_rate=1e-3")
    )
    assert parsed.method.settings == {"rank": 4}
    assert (parsed.training.epochs, parsed.name, parsed.training.learning_rate) == (0.5, "Other", 0.001)


@pytest.mark.parametrize("change", ["rank", "=4", "model.id=4", "training.epochs=[1"])
def test_a_set_that_changes_nothing_sensible_says_so(tmp_path, change):
    with pytest.raises(BadPlan) as caught:
        plan.load(write_plan(tmp_path, GOOD), (change,))
    assert f"--set {change}: " in str(caught.value)


def test_set_to_an_unknown_key_is_a_problem_of_the_plan(tmp_path):
    with pytest.raises(BadPlan, match=r"training\.epoch: is not a key of a plan"):
        plan.load(write_plan(tmp_path, GOOD), ("training.epoch=1",))


def test_a_relative_data_file_is_taken_from_the_plans_own_folder(tmp_path, monkeypatch):
    file = write_plan(tmp_path, {**GOOD, "data": {"source": "rows/a.csv"}})
    monkeypatch.chdir("/")
    assert plan.load(file).data.source == str(tmp_path / "rows" / "a.csv")


@pytest.mark.parametrize(
    "source", ["sample:support-tone", "dataset:0123456789abcdef0123456789abcdef", "/data/a.csv"]
)
def test_a_source_that_is_no_relative_file_stays_as_it_is(tmp_path, source):
    assert plan.load(write_plan(tmp_path, {**GOOD, "data": {"source": source}})).data.source == source


def test_every_task_that_a_method_trains_has_roles():
    assert {task for method in methods.METHODS for task in method.tasks} <= set(REQUIRED_ROLES)
