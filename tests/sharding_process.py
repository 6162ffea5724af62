"""One of two ranks that compute a step with half the weights each: `python tests/sharding_process.py FOLDER`.

The folder has those of tiny models. The first rank writes for each how far the
step is from that of the whole model.
"""

import json
import os
import sys
from pathlib import Path

os.environ |= {"OMP_NUM_THREADS": "1", "HF_HUB_OFFLINE": "1", "STUDIO_PRECISION": "float32"}

import torch
import torch.distributed as dist
from model_families import DECODERS
from torch.nn.functional import cross_entropy

from studio.data.vocabulary_loss import VocabularyLoss
from studio.models import load, shape, sharding

LABELS = ("no", "yes")
N_ROWS, N_TOKENS = 4, 16


def compute_loss(model, task, rows):
    """The loss of some of the same random rows, with its gradients."""
    generator = torch.Generator().manual_seed(0)
    ids = torch.randint(5, 40, (N_ROWS, N_TOKENS), generator=generator)[rows]
    model.requires_grad_(True)
    if task == "classify":
        targets = torch.tensor([0, 1, 1, 0])[rows]
        loss = cross_entropy(model(input_ids=ids, attention_mask=torch.ones_like(ids)).logits, targets)
    else:
        with VocabularyLoss(model) as vocabulary_loss:
            outputs = model(input_ids=ids, attention_mask=torch.ones_like(ids))
            loss = vocabulary_loss(outputs, torch.cat([ids[:, :1], ids], 1))
    loss.backward()
    return loss.detach()


def compare(folder, task):
    """How far loss and gradients are apart, the latter by the longest one, and whether weights come back."""
    rank = dist.get_rank()
    whole = load.base_model(folder, task, LABELS, seed=rank)  # a new head is another one on each rank
    model = sharding.shard(whole, folder).eval()
    expected = compute_loss(whole, task, slice(0, N_ROWS))
    loss = compute_loss(model, task, slice(2 * rank, 2 * rank + 2))
    dist.all_reduce(loss)
    gradients = {name: p.grad for name, p in whole.named_parameters() if p.grad is not None}
    longest = max(float(gradient.abs().max()) for gradient in gradients.values())
    differences = [
        float((p.grad.full_tensor() - gradients[name]).abs().max())
        for name, p in model.named_parameters()
        if p.grad is not None
    ]
    before = {name: p.detach().clone() for name, p in whole.named_parameters()}
    sharding.gather(model, whole)
    is_same = all(torch.equal(before[name], p) for name, p in whole.named_parameters())
    n_groups = sum(map(sharding.is_sharded, model.modules()))
    return {
        "loss": abs(float(loss) / 2 - float(expected)),
        "gradient": max(differences) / longest,
        "same": is_same,
        "groups": n_groups,
    }


def main(folder):
    dist.init_process_group("gloo")
    results = {}
    for path in sorted(folder.iterdir()):
        tasks = ("chat", "classify") if path.name in (*DECODERS, "llama") else ("classify",)
        for task in tasks[:1] if path.name in shape.WITHOUT_CLASSIFIER else tasks:
            results[f"{path.name} {task}"] = compare(path, task)
    if dist.get_rank() == 0:
        (folder.parent / "results.json").write_text(json.dumps(results))
    dist.barrier()


if __name__ == "__main__":
    main(Path(sys.argv[1]))
