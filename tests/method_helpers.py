"""What the tests of methods share: a model's answer to one text, its base, and its parameters."""

import torch

from studio import methods
from studio.data import collate
from studio.models import load

TOY_LABELS = ("a", "b", "c")


def logits(model, job):
    """What a model answers to the job's first text; positions of virtual tokens are left out."""
    with torch.no_grad():
        scores = model.eval()(input_ids=torch.tensor([job.train[0].input_ids], device=model.device)).logits
    if scores.dim() == 2:
        return scores
    return scores[:, collate.count_virtual_tokens(model) :]


def on_device(batch, model):
    """A batch where its model is."""
    return {name: tensor.to(model.device) for name, tensor in batch.items()}


def load_base(job, bases):
    """The base as the job found it."""
    task = job.plan.task
    labels = list(TOY_LABELS) if task == "classify" else []
    storage = load.WeightStorage(in_4_bits=methods.get(job.plan.method.name).weights == "nf4")
    return load.base_model(bases(task), task, labels, job.plan.training.seed, storage)


def count(model):
    """Trainable and all parameters."""
    return load.count_parameters(model, trainable_only=True), load.count_parameters(model)


def parameters(model):
    """A copy of the parameters by name."""
    return {name: value.detach().clone() for name, value in model.named_parameters()}


def changed_names(model, before):
    """Names of the parameters that are not what they were."""
    return {name for name, value in model.named_parameters() if not torch.equal(value, before[name])}


def trainable_names(model):
    return {name for name, value in model.named_parameters() if value.requires_grad}


def load_twin(base, method, folder):
    """A saved result on modules of its own around the same parameters, as in the playground."""
    import copy

    shared = {id(value): value for value in (*base.parameters(), *base.buffers())}
    return method.load(copy.deepcopy(base, shared), folder)
