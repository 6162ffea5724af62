"""One rank of a training on this machine, without Ray: `python tests/rank_process.py RUN`."""

import os
import sys

os.environ |= {"OMP_NUM_THREADS": "1", "HF_HUB_OFFLINE": "1", "TOKENIZERS_PARALLELISM": "false"}

import torch.distributed

from studio import runs
from studio.models import cpu_precision
from studio.training import callback, ranked_monitor, worker


def main(run_id: str) -> None:
    torch.distributed.init_process_group("gloo")
    if speedups := os.environ.get("STUDIO_TEST_SPEEDUPS"):  # what each rank's processor measures
        speedup = float(speedups.split()[int(os.environ["RANK"])])
        cpu_precision.bf16_speedup = lambda: speedup
    callback.MAX_SAVING_SHARE = 1.0  # as many checkpoints in seconds as a real training has in hours
    if os.environ["RANK"] == "0":
        worker.run(run_id)
    else:
        ranked_monitor.follow_in_own_home(runs.get(run_id))
    torch.distributed.barrier()


if __name__ == "__main__":
    main(*sys.argv[1:])
