"""`studio estimate` in the terminal: all methods traced, as JSON and as a table."""

import json

import pytest
import yaml
from estimate_cases import METHOD_NAMES

from studio.cli.main import main
from studio.estimate.machines import catalogue
from studio.estimate.tracing.client import tracing_client

KEYS = {
    "trainable_parameters",
    "total_parameters",
    "peak_memory_gb",
    "minutes",
    "dollars",
    "disk_mb",
    "fits",
    "why_not",
}


@pytest.fixture(scope="module")
def module_home(tmp_path_factory):
    """One studio home for all tests here, so that each step is traced once."""
    yield tmp_path_factory.mktemp("home")
    tracing_client.clear_memory()


@pytest.fixture(autouse=True)
def studio_home(module_home, monkeypatch):
    monkeypatch.setenv("STUDIO_HOME", str(module_home))
    return module_home


@pytest.fixture(scope="module")
def plan_path(make_plan, module_home):
    # One micro batch in all, so that few passes need tracing.
    plan = make_plan(epochs=2, batch_size=64)
    path = module_home / "plan.yaml"
    path.write_text(yaml.safe_dump(plan.model_dump(mode="json", exclude_none=True)))
    return str(path)


def estimate_as_json(capsys, *arguments):
    assert main(["estimate", *arguments, "--json"]) == 0
    return json.loads(capsys.readouterr().out)


@pytest.mark.thorough
def test_all_methods_are_estimated_as_json_and_those_that_do_not_go_say_why(plan_path, capsys):
    estimates = estimate_as_json(capsys, plan_path, "--all")
    assert set(estimates) == set(METHOD_NAMES)
    for name, estimate in estimates.items():
        assert set(estimate) >= KEYS
        memory, minutes = estimate["peak_memory_gb"], estimate["minutes"]
        if estimate["fits"] is False:
            assert estimate["why_not"], name
            assert (minutes, memory) == (None, None), "what cannot run has no figures"
            continue
        assert memory["low"] < memory["likely"] < memory["high"]
        assert sum(memory["parts"].values()) == pytest.approx(memory["likely"], rel=0.01)
        assert minutes["low"] < minutes["likely"] < minutes["high"]
        assert estimate["from"] == "traced", name
        assert estimate["dollars"] is None, "nobody knows what this machine costs"
    assert sum(estimate["fits"] is True for estimate in estimates.values()) >= 7


def test_another_machine_has_its_price_and_one_method_stands_alone(plan_path, capsys):
    estimates = estimate_as_json(capsys, plan_path, "--machine", "hf-t4-small")
    assert set(estimates) == {"lora"}
    estimate, machine = estimates["lora"], catalogue.load_machines()["hf-t4-small"]
    assert estimate["machine"] == "hf-t4-small"
    assert estimate["from"] == "traced"
    # Three minutes to start the machine, and a model of 0.27 GB to fetch.
    paid_minutes = estimate["minutes"]["likely"] + 3 + 0.269 / 0.1 / 60
    assert estimate["dollars"]["likely"] == pytest.approx(
        catalogue.cost_of_minutes(machine, paid_minutes), abs=0.007
    )


def test_the_table_in_the_terminal_shows_the_figures_of_the_json(plan_path, capsys):
    estimate = estimate_as_json(capsys, plan_path)["lora"]
    assert main(["estimate", plan_path]) == 0
    lines = capsys.readouterr().out.splitlines()
    row = next(line for line in lines if line.split()[0] == "lora" and "on toys" not in line)
    assert f"{estimate['trainable_parameters']:,}" in row
    assert f"{estimate['peak_memory_gb']['likely']:.1f}" in row


@pytest.mark.parametrize(
    ("arguments", "problem"),
    [
        (["--machine", "cray-1"], "expected here or one of"),
        (["--set", "training.batch_size=0"], "batch_size"),
        (["--set", "method.name=magic"], "magic"),
    ],
    ids=["machine", "value", "method"],
)
def test_a_wrong_argument_is_answered_with_a_sentence_and_exit_code_two(
    plan_path, capsys, arguments, problem
):
    assert main(["estimate", plan_path, *arguments]) == 2
    assert problem in capsys.readouterr().err


def test_a_model_nobody_knows_has_no_figures(plan_path, capsys):
    estimates = estimate_as_json(capsys, plan_path, "--all", "--set", "model=someone/unknown")
    unknown = [estimate for estimate in estimates.values() if estimate["fits"] is None]
    assert unknown
    for estimate in unknown:
        for key in ("trainable_parameters", "peak_memory_gb", "minutes", "disk_mb"):
            assert estimate[key] is None
        assert estimate["missing"]
