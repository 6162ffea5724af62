"""The estimate of learning from judged answers is that of TRL's own trainers, traced on the toys."""

import pytest
from sampling import sample

from studio import methods
from studio.data import examples
from studio.estimate.analytic import formula
from studio.estimate.analytic import time as time_model
from studio.estimate.analytic.formula import AttachedModel
from studio.estimate.method_run import MethodRun
from studio.estimate.op_counts import total
from studio.estimate.tracing.trace import Trace
from studio.methods.rlhf_stages import direct, phases, schedule
from studio.methods.workload import RowTokens, Workload
from studio.models import shape as model_shapes


def row_tokens(job, example):
    """The tokens of an example's question and of its two answers."""
    prompt = examples.to_prompt_messages(example)
    answers = [
        examples.encode_chat([*prompt, {"role": "assistant", "content": example[name]}], job.tokenizer, 64)
        for name in ("chosen", "rejected")
    ]
    better, worse = [sum(label != examples.IGNORE_INDEX for label in answer.labels) for answer in answers]
    return RowTokens(len(answers[0].input_ids) - better, better, worse)


def estimate_phases(job, kind):
    """What each phase of a job takes by the closed form on a kind of machine, by its name."""
    rows = tuple(row_tokens(job, example) for part in job.examples for example in part)
    shape = model_shapes.from_config(job.model.config.to_dict())
    validation_share = len(job.examples[1]) / len(rows)
    load = Workload("prefer", rows, len(rows), validation_share, job.plan.training, shape, num_labels=0)
    run = MethodRun(methods.get("rlhf"), job.settings, load)
    model = AttachedModel(
        shape, run.method.cost_profile(shape, run.settings), run.parameters.trainable, autocast_dtype=""
    )
    return {
        phase.name: total(
            time_model.count_pieces(
                phase, load, 0, kind, lambda phase, batch: formula.count_pass(model, phase, batch)
            )
        )
        for phase in run.phases
    }


@pytest.mark.thorough
@pytest.mark.parametrize("algorithm", sample(schedule.DIRECT_ALGORITHMS, ["kto"]))
def test_the_trainer_takes_the_arithmetic_and_the_logits_that_were_estimated(
    algorithm, make_recorded_job, device, monkeypatch
):
    job, _ = make_recorded_job(settings={"algorithm": algorithm, "sft": False, "steps": 6}, rows=48)
    trace = Trace("cpu", len(job.tokenizer))
    run_trainer = direct.stage_files.run_trainer

    def trace_trainer(*arguments):
        with trace, trace.record_phase("training", "activations"):
            return run_trainer(*arguments)

    monkeypatch.setattr(direct.stage_files, "run_trainer", trace_trainer)
    methods.get("rlhf").train(job)
    # On a card TRL scores the positions of the answers alone (its Triton kernel), on a processor all.
    kind = "processor" if device == "cpu" else "card"
    estimated, traced = estimate_phases(job, kind), trace.phases["training"]
    flop = estimated[algorithm].flop_32
    if algorithm in phases.REFERENCE_PASSES:
        flop += estimated["reference"].flop_32
    assert traced.flop_32 == pytest.approx(flop, rel=0.1)
    if algorithm in phases.CHUNKED_ALGORITHMS:
        # Of the longest batch every text counts as long as the longest.
        scores = estimated[algorithm].parts["scores"]
        assert traced.parts["scores"] <= scores <= 1.2 * traced.parts["scores"]
