"""The ranks of a training on several GPUs: processes that train one model together, each on its share.

Whoever starts them (Ray, torchrun) sets torch.distributed up; without it there is one rank.
"""

import math
import sys
from pathlib import Path
from typing import Any, NamedTuple

from studio.errors import NotPossible, StudioError
from studio.i18n import Message
from studio.storage import read_json, write_json

# A rank waits so long for the others: as long as the first one may take for evaluating.
COLLECTIVE_SECONDS = 6 * 3600
# Where another rank than the first writes into the run why it has ended for good.
FAILURE_FILE = ".rank_failure.json"
INDIVISIBLE = Message("A batch of {batch} examples cannot be shared out evenly among {count} GPUs.")
CHOOSE_BATCH = Message("Set training.batch_size to a multiple of {count}.")


class Share(NamedTuple):
    """One rank's part of a step: `batch_size` examples at a time, `accumulation_steps` times."""

    batch_size: int
    accumulation_steps: int


def count() -> int:
    """How many ranks train together."""
    distributed = _distributed()
    return int(distributed.get_world_size()) if distributed else 1


def is_first() -> bool:
    """Whether this process is the one that validates, writes and saves."""
    distributed = _distributed()
    return distributed is None or distributed.get_rank() == 0


def share_batch(batch_size: int, accumulation_steps: int, n_ranks: int) -> Share:
    """A rank's share of each step, so that all together see as many examples as the plan says.

    Args:
        batch_size: The plan's examples of a step.
        accumulation_steps: In how many parts one GPU would compute them.
        n_ranks: How many ranks share a step.

    Raises:
        NotPossible: They cannot be shared out evenly.
    """
    if n_ranks == 1:
        return Share(max(1, batch_size // accumulation_steps), accumulation_steps)
    if batch_size % n_ranks:
        raise NotPossible(INDIVISIBLE, CHOOSE_BATCH, batch=batch_size, count=n_ranks)
    n_examples = batch_size // n_ranks
    micro_batch_size = math.gcd(max(1, batch_size // accumulation_steps), n_examples)
    return Share(micro_batch_size, n_examples // micro_batch_size)


def wait_for_all() -> None:
    """Wait until every rank is here."""
    if distributed := _distributed():
        distributed.barrier()


def say(value: Any) -> Any:
    """What the first rank passes in here, for all of them; every rank has to call it."""
    distributed = _distributed()
    if not distributed:
        return value
    values = [value]
    distributed.broadcast_object_list(values)
    return values[0]


def write_failure(folder: Path, error: StudioError) -> None:
    """Write into a run's folder why a rank has ended, for the first one to say."""
    failure = {"message": error.message.to_json(), "hint": error.hint.to_json()}
    write_json(folder / FAILURE_FILE, failure)


def read_failure(folder: Path) -> StudioError | None:
    """Why a rank of a run has ended for good; None where none has said so."""
    failure = read_json(folder / FAILURE_FILE)
    if not failure:
        return None
    return StudioError(Message.from_json(failure["message"]), Message.from_json(failure["hint"]))


def _distributed() -> Any:
    """torch.distributed, where several ranks train; else None. Whoever set it up has loaded it."""
    distributed = sys.modules.get("torch.distributed")
    is_set_up = distributed and distributed.is_available() and distributed.is_initialized()
    return distributed if is_set_up else None
