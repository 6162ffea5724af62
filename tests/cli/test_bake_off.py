"""A bake-off from the terminal: contenders are named, the table says what was measured, mistakes are said."""

import json

import pytest
from bake_off_trainer import EVAL_COUNT, Trainer

from studio import plan as plans
from studio.cli.main import main
from studio.training.bake_off import conductor, record


@pytest.fixture
def plan_path(make_plan, tmp_path):
    """The file of a plan that sorts toy texts."""
    path = tmp_path / "plan.yaml"
    path.write_text(plans.dump(make_plan("lora", "classify", eval_count=EVAL_COUNT)), encoding="utf-8")
    return str(path)


@pytest.fixture(autouse=True)
def trainer(monkeypatch):
    """Every contender's turns take no process."""
    trainer = Trainer({"lora": 38, "full": 5})
    monkeypatch.setattr(conductor, "train_in_worker", trainer)
    return trainer


def test_contenders_are_compared_and_the_winner_is_recommended(plan_path, capsys):
    assert main(["bake-off", plan_path, "--try", "lora,method.settings.rank=4", "--try", "full"]) == 0
    table = capsys.readouterr().out.splitlines()
    assert table[1].startswith("LoRA · method.settings.rank=4")
    assert "winner" in table[1]
    assert "95% correct" in table[1]
    assert "dropped" in table[2]
    assert table[-1].startswith("Use LoRA · method.settings.rank=4: 95% correct")


def test_as_json_it_has_every_figure(plan_path, capsys):
    assert main(["bake-off", plan_path, "--try", "lora", "--try", "full", "--json"]) == 0
    result = json.loads(capsys.readouterr().out)
    winner, loser = result["contenders"]
    assert (winner["outcome"], winner["share"], winner["score"]["value"]) == ("winner", 1.0, 0.95)
    assert (loser["outcome"], loser["share"], loser["score"]["value"]) == ("dropped", 0.5, 0.125)
    assert result["minutes"] == 15.0


def test_a_contender_keeps_what_the_plan_says_unless_it_changes_it(plan_path, capsys):
    main(["bake-off", plan_path, "--try", "lora,training.epochs=2", "--try", "full", "--json"])
    bake_off = record.get(json.loads(capsys.readouterr().out)["id"])
    first, second = (contender.plan for contender in bake_off.contenders)
    assert (first.training.epochs, second.method.name) == (2, "full")
    assert first.data == second.data
    assert second.training.learning_rate is None


def test_one_whose_time_is_up_goes_on_by_its_id(plan_path, capsys, trainer):
    trainer.right["full"] = 38
    assert main(["bake-off", plan_path, "--try", "lora", "--try", "full", "--minutes", "3", "--json"]) == 1
    first = json.loads(capsys.readouterr().out)
    assert first["state"] == "time_is_up"
    main(["bake-off", "--resume", first["id"][:8], "--json"])
    assert json.loads(capsys.readouterr().out)["id"] == first["id"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--try", "lora"], "takes 2 to 5 contenders"),
        (["--try", "lora", "--try", "lora"], "is in it twice"),
        (["--try", "lora,rank", "--try", "full"], "expected KEY=VALUE behind the method, but got rank"),
        (["--try", "nonsense", "--try", "full"], "nonsense"),
        (["--try", "lora", "--try", "full", "--minutes", "0"], "more than 0 minutes"),
        (["--resume", "0123abcd"], "name either a plan"),
    ],
)
def test_what_is_wrong_is_a_sentence(plan_path, capsys, arguments, message):
    assert main(["bake-off", plan_path, *arguments]) != 0
    assert message in capsys.readouterr().err
