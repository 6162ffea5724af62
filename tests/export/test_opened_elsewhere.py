"""Everything that leaves the studio answers the same where there is no studio, by the lines of its card."""

import ast
import math

import pytest
import torch
from export_cases import FAST, THOROUGH

from studio import export, methods, runs
from studio.models import load

TEXTS = ("where is my lamp", "the invoice for the chair is wrong again")
# What merging adds up in another order; an adapter computes as it was trained.
TOLERANCES = {"adapter": 1e-5, "packed": 1e-5, "merged": 1e-4}
NOT_IN_CI = (pytest.mark.thorough, pytest.mark.exhaustive)
CASES = [*FAST, *(pytest.param(case, marks=NOT_IN_CI) for case in THOROUGH)]


def ask_studio(run):
    """Logits and greedy continuations of the texts, by the base and by the tuned model as the run left it."""
    plan, report = run.plan, runs.report(run)
    method, tokenizer = methods.get(plan.method.name), load.tokenizer(run.model)
    storage = load.WeightStorage(in_4_bits=method.weights == "nf4")
    base = load.base_model(load.Path(plan.model), plan.task, report["labels"], plan.training.seed, storage)
    base_logits = [get_logits(base, tokenizer, text) for text in TEXTS]
    tuned = method.load(base, run.model)
    return base_logits, [get_logits(tuned, tokenizer, text) for text in TEXTS], tuned, tokenizer


def get_logits(model, tokenizer, text):
    with torch.no_grad():
        return model(**tokenizer(text, return_tensors="pt")).logits.float()


def put_base_beside(run, folder):
    """A base of one's own is wanted in the export's folder, under its name."""
    base = load.Path(run.plan.model)
    (folder / base.name).symlink_to(base)


@pytest.mark.thorough
@pytest.mark.parametrize("case", CASES, ids=str)
def test_what_is_taken_home_answers_the_same_by_the_lines_of_its_card(case, finished_case, reader, tmp_path):
    run = finished_case(case)
    base_logits, tuned_logits, tuned, tokenizer = ask_studio(run)
    for form in set(export.available_formats(run)) & set(TOLERANCES):
        folder = export.save_result(run, form, tmp_path / form)
        put_base_beside(run, folder)
        reply = reader.read(folder, TEXTS)
        for text, base, expected, logits, continuation in zip(
            TEXTS, base_logits, tuned_logits, reply["logits"], reply["continuations"], strict=True
        ):
            read = torch.tensor(logits)
            torch.testing.assert_close(read, expected, rtol=1e-5, atol=TOLERANCES[form])
            if case.task == "classify":
                assert (read - base).abs().max() > 10 * TOLERANCES[form]
                continue
            inputs = tokenizer(text, return_tensors="pt")
            tokens = tuned.generate(**inputs, do_sample=False, max_new_tokens=8)
            assert continuation == tokenizer.decode(tokens[0])
        check_printed(reply["printed"], runs.report(run))


def check_printed(printed, report):
    """A classifier's card prints a class, a list of labels, or a number; other cards print an answer."""
    if report["problem_type"] == "single_label_classification":
        assert printed in report["labels"]
    if report["problem_type"] == "multi_label_classification":
        assert set(ast.literal_eval(printed)) <= set(report["labels"])
    if report["problem_type"] == "regression":
        assert math.isfinite(float(printed))
