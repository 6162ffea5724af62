"""Texts with several labels, or a number, by every method that classifies: trained, opened again, asked."""

import json

import pytest
import torch
from toys import write_problem_table

from studio import export, methods, plan, runs
from studio.models import head, load
from studio.playground.session import ModelSession, Question
from studio.training import worker

CLASSIFIERS = [method.name for method in methods.METHODS if "classify" in method.tasks]
ROLES = ("labels", "rating")
IN_CI = {("full", "labels"), ("lora", "labels"), ("prefix", "rating"), ("qlora", "rating")}
WAYS = [
    pytest.param(way, marks=() if way in IN_CI else pytest.mark.exhaustive, id="-".join(way))
    for way in ((method, role) for method in CLASSIFIERS for role in ROLES)
]


def with_role(role):
    """The ways that learn this."""
    return [way for way in WAYS if way.values[0][1] == role]


@pytest.fixture(scope="module")
def make_run(make_plan, build_once, tmp_path_factory):
    """`make_run(method, role)`: the home of a run that has ended."""

    def make(method, role):
        def train(home):
            write_problem_table(home / "toys.csv", role)
            run_plan = make_plan(method, "classify", epochs=8)
            data = plan.Data(
                source=str(home / "toys.csv"),
                columns={"text": "text", role: role},
                validation_share=0.25,
            )
            with pytest.MonkeyPatch.context() as patch:
                patch.setenv("STUDIO_HOME", str(home))
                worker.run(runs.create(run_plan.model_copy(update={"data": data})).id)

        return build_once(f"{method}-{role}", train)

    return make


@pytest.fixture
def ended(make_run, monkeypatch):
    """`ended(method, role)`: a run that has ended, in its own home."""

    def get(method, role):
        home = make_run(method, role)
        monkeypatch.setenv("STUDIO_HOME", str(home))
        (folder,) = (home / "runs").iterdir()
        return runs.get(folder.name)

    return get


def validation_texts(run):
    lines = (run.folder / "data" / "validation.jsonl").read_text(encoding="utf-8").splitlines()
    return [json.loads(line) for line in lines]


def predict(model, tokenizer, texts):
    """A model's logits for each text."""
    with torch.no_grad():
        inputs = [tokenizer(text, return_tensors="pt").to(model.device) for text in texts]
        return torch.stack([model(**text_inputs).logits[0].cpu() for text_inputs in inputs])


def load_tuned(run):
    report = runs.report(run)
    method = methods.get(run.plan.method.name)
    base = load.base_model(
        load.Path(run.plan.model),
        "classify",
        report["labels"],
        run.plan.training.seed,
        load.WeightStorage(in_4_bits=method.weights == "nf4"),
    )
    return method.load(base, run.model), load.tokenizer(run.model)


@pytest.mark.thorough
@pytest.mark.parametrize("way", with_role("labels"))
def test_several_labels_are_learned_and_scored(way, ended):
    report = runs.report(ended(*way))
    assert report["problem_type"] == "multi_label_classification"
    assert report["labels"] == ["billing", "delivery", "fragile", "returns"]
    assert report["after"]["loss"] < report["before"]["loss"]
    assert {"micro_f1", "macro_f1", "exact_match", "f1/fragile"} <= report["after"].keys()


@pytest.mark.thorough
@pytest.mark.parametrize("way", with_role("rating"))
def test_numbers_are_learned_on_a_standard_scale_and_given_in_their_own_unit(way, ended):
    run = ended(*way)
    report = runs.report(run)
    assert report["problem_type"] == "regression"
    assert report["after"]["loss"] < report["before"]["loss"]
    examples = validation_texts(run)
    model, tokenizer = load_tuned(run)
    predicted = predict(model, tokenizer, [example["text"] for example in examples]).flatten()
    right = torch.tensor([float(example["rating"]) for example in examples])
    assert float((predicted - right).abs().mean()) == pytest.approx(report["after"]["mae"], rel=1e-3)


@pytest.mark.parametrize("way", WAYS)
def test_a_stock_pipeline_answers_as_the_run_does(way, ended, tmp_path):
    from transformers import pipeline

    run = ended(*way)
    if "merged" not in export.available_formats(run):
        pytest.skip("this method has no form that opens alone")
    folder = export.save_result(run, "merged", tmp_path / "merged")
    text = validation_texts(run)[0]["text"]
    (answers,) = pipeline("text-classification", str(folder), top_k=None)([text])
    logits = predict(*load_tuned(run), [text])[0]
    expected = logits if way[1] == "rating" else logits.sigmoid()
    scores = {answer["label"]: answer["score"] for answer in answers}
    assert scores == pytest.approx(
        dict(zip(runs.report(run)["labels"], expected.tolist(), strict=True)), abs=1e-3
    )


@pytest.mark.exhaustive
@pytest.mark.parametrize("role", ["labels", pytest.param("rating", marks=pytest.mark.exhaustive)])
def test_the_playground_gives_a_probability_for_each_label_or_the_number(role, ended):
    run = ended("lora", role)
    text = validation_texts(run)[0]["text"]
    with ModelSession(run) as session:
        *_, answer = session.ask(Question(text))
        assert session.self_test.passed
    logits = predict(*load_tuned(run), [text])[0]
    expected = logits if role == "rating" else logits.sigmoid()
    assert list(answer.scores["tuned"].values()) == pytest.approx(expected.tolist(), abs=1e-4)


def test_a_learned_scale_is_folded_into_the_head(tiny_bert):
    model, tokenizer = load.base_model(tiny_bert, "classify", ["rating"]), load.tokenizer(tiny_bert)
    model.requires_grad_(True)
    before = predict(model, tokenizer, ["the lamp is late"])
    head.fold_scale(model, mean=3.0, deviation=2.0)
    torch.testing.assert_close(predict(model, tokenizer, ["the lamp is late"]), 2 * before + 3)


def test_a_head_without_a_bias_is_known(tiny_bert, tiny_chat):
    assert head.has_bias(load.base_model(tiny_bert, "classify", ["rating"]))
    assert not head.has_bias(load.base_model(tiny_chat, "classify", ["rating"]))


@pytest.mark.parametrize("role", ROLES)
def test_the_cards_code_prints_what_the_run_answers(role, ended, tmp_path, monkeypatch):
    run = ended("lora", role)
    folder = export.save_result(run, "merged", tmp_path / "merged")
    code = (folder / "README.md").read_text(encoding="utf-8").split("```python\n")[1].split("```")[0]
    monkeypatch.chdir(folder)
    text = validation_texts(run)[0]["text"]
    printed = []
    exec(code.replace('"…"', repr(text)), {"print": printed.append})
    logits = predict(*load_tuned(run), [text])[0]
    labels = runs.report(run)["labels"]
    given = [label for label, share in zip(labels, logits.sigmoid(), strict=True) if share >= 0.5]
    assert printed == [given] if role == "labels" else printed == pytest.approx(logits.tolist(), abs=1e-3)


def test_a_base_without_a_bias_in_its_head_learns_numbers_too(tiny_chat, make_plan, tmp_path):
    write_problem_table(tmp_path / "toys.csv", "rating")
    data = plan.Data(source=str(tmp_path / "toys.csv"), columns={"text": "text", "rating": "rating"})
    run_plan = make_plan("full", "classify", epochs=8)
    run = runs.create(run_plan.model_copy(update={"data": data, "model": str(tiny_chat)}))
    worker.run(run.id)
    report = runs.report(run)
    assert report["scale"]["mean"] == 0
    assert report["after"]["mae"] < report["before"]["mae"]
