"""A training goes on from what a run learned, or from any adapter: it starts where the first one ended."""

import json
import shutil

import pytest

from studio import runs
from studio.cli import train as train_command
from studio.errors import ModelUnavailable, NotPossible
from studio.estimate import all_methods
from studio.methods import folder_check
from studio.models import adapters, fetch, load, shape
from studio.plan import MethodChoice
from studio.training import continuation, worker
from studio.ui.train import remedies


def train(plan):
    run = runs.create(plan)
    worker.run(run.id)
    return run


@pytest.fixture
def first_run(make_plan):
    """`first_run(method, task, settings)`: a short training that has ended."""

    def make(method="lora", task="chat", settings=None):
        return train(make_plan(method, task, settings, epochs=2, eval_count=2))

    return make


IN_CI = [("lora", "chat", {}), ("lora", "classify", {})]
ON_DEMAND = [
    *(("qlora", "chat", {}), ("full", "chat", {}), ("full", "classify", {}), ("frozen", "classify", {})),
    *(("peft", "chat", {"type": name}) for name in ("dora", "adalora", "ia3", "ln_tuning", "vera", "oft")),
    *(("peft", "classify", {"type": name}) for name in ("dora", "ln_tuning")),
]
WAYS = [
    *(pytest.param(*way, id="-".join([*way[:2], *way[2].values()])) for way in IN_CI),
    *(
        pytest.param(
            *way,
            id="-".join([*way[:2], *way[2].values()]),
            marks=(pytest.mark.thorough, pytest.mark.exhaustive),
        )
        for way in ON_DEMAND
    ),
]


@pytest.mark.parametrize(("method", "task", "settings"), WAYS)
def test_the_second_run_starts_with_the_scores_of_the_first(method, task, settings, first_run):
    first = first_run(method, task, settings)
    first_report = runs.report(first)
    plan = continuation.build_plan(first)
    if method == "qlora":  # which would round the merged weights to 4 bits once more
        plan = plan.model_copy(update={"method": MethodChoice(name="lora")})
    second = train(plan)
    report = runs.report(second)
    assert report["before"]["loss"] == pytest.approx(first_report["after"]["loss"], rel=1e-3)
    # The base itself stood elsewhere.
    assert abs(first_report["before"]["loss"] - first_report["after"]["loss"]) > 0.005
    assert report["after"]["loss"] <= report["before"]["loss"]
    assert second.plan.name == f"{first.plan.name}, continued"


@pytest.mark.thorough
@pytest.mark.exhaustive
def test_the_merged_model_is_made_once_and_a_third_run_goes_on_from_the_second(first_run):
    first = first_run()
    second = train(continuation.build_plan(first))
    merged = fetch.fetch(str(first.folder))
    assert merged == fetch.find_cached(str(first.folder)) == fetch.fetch(str(first.model))
    assert merged.name == first.plan.name
    assert not adapters.is_adapter(merged.folder)
    third = train(continuation.build_plan(second))
    after_second = runs.report(second)["after"]["loss"]
    assert runs.report(third)["before"]["loss"] == pytest.approx(after_second, rel=1e-3)


@pytest.fixture
def foreign_adapter(tiny_chat, tmp_path):
    """A LoRA that PEFT saved, with nothing of the studio beside it."""
    import torch
    from peft import LoraConfig, get_peft_model

    torch.manual_seed(0)
    model = get_peft_model(
        load.base_model(tiny_chat, "chat"),
        LoraConfig(task_type="CAUSAL_LM", target_modules=["q_proj", "v_proj"], init_lora_weights=False),
    )
    model.save_pretrained(tmp_path / "adapter")
    return tmp_path / "adapter", model


def test_an_adapter_from_elsewhere_is_merged(foreign_adapter):
    import torch

    folder, model = foreign_adapter
    fetched = fetch.fetch(str(folder))
    merged = load.base_model(fetched.folder, "chat")
    ids = torch.arange(5, 15)[None]
    with torch.no_grad():
        expected = model.eval()(ids.to(model.device)).logits.cpu()
        assert torch.allclose(merged(ids.to(merged.device)).logits.cpu(), expected, atol=1e-4)
    assert load.tokenizer(fetched.folder).chat_template


def edit_config(folder, **values):
    path = folder / adapters.CONFIG_FILE
    path.write_text(json.dumps({**json.loads(path.read_text("utf-8")), **values}), encoding="utf-8")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda folder: edit_config(folder, base_model_name_or_path="/no/such/folder"), adapters.NO_BASE),
        (lambda folder: edit_config(folder, peft_type="PREFIX_TUNING"), adapters.CANNOT_GO_ON),
        (lambda folder: edit_config(folder, peft_type="BOTTLENECK"), adapters.CANNOT_GO_ON),
        (lambda folder: (folder / adapters.WEIGHTS_FILE).unlink(), adapters.NO_ADAPTER_WEIGHTS),
        (lambda folder: (folder / adapters.CONFIG_FILE).write_text("{"), adapters.DAMAGED),
        (lambda folder: (folder / adapters.CONFIG_FILE).write_text("[]"), adapters.DAMAGED),
    ],
    ids=["no base", "prefix", "bottleneck", "no weights", "damaged", "no object"],
)
def test_an_adapter_that_no_training_goes_on_from_says_why(foreign_adapter, change, message):
    folder, _ = foreign_adapter
    change(folder)
    for ask in (fetch.fetch, fetch.find_cached, lambda name: folder_check.require_startable(name, "chat")):
        with pytest.raises(ModelUnavailable) as caught:
            ask(str(folder))
        assert caught.value.message.text == message.text


def test_the_terminal_goes_on_from_a_run(first_run, capsys, untraced_start):
    first = first_run()
    assert train_command.train("", (), from_run=first.id[:8]) == 0
    second = runs.all_runs()[0]
    assert second.plan.model == str(first.folder)
    assert "studio train --from" in capsys.readouterr().out


def test_a_run_offers_to_go_on_with_one_click(first_run, tiny_chat):
    first = first_run()
    cached = fetch.find_cached(str(first.folder))  # before it is merged an adapter is known by its base
    assert (cached.folder, cached.name) == (tiny_chat, first.plan.name)
    assert all_methods.find_base_model(str(first.model)).shape == shape.from_folder(tiny_chat)
    steps = remedies.describe_steps(first, runs.report(first), "en")
    (number,) = [index for index, step in enumerate(steps) if step["text"].startswith("Go on training")]
    assert steps[number]["button"]
    plan, changes = remedies.build_variation(first, number, "en")
    assert plan.model == str(first.folder)
    assert first.plan.name in changes


def test_a_prefix_offers_no_going_on(first_run):
    first = first_run("prefix")
    assert not continuation.can_continue(first)
    with pytest.raises(NotPossible, match="prefix"):
        continuation.build_plan(first)
    shutil.rmtree(first.model)
    with pytest.raises(NotPossible, match="no result"):
        continuation.build_plan(first)
