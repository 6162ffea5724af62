"""Kills, stops and starves trainings of two ranks at a real Ray cluster of two raylets, and prints what it took.

    python tests/bench/ray_cluster.py --kills 20

The cluster lives in a network namespace of its own, where nothing but the loopback address exists, and ends
with it. Two raylets of a core each stand for two machines; a tiny model is trained on a core of each.
"""

import argparse
import os
import random
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

ROOT = Path(__file__).parents[2]
sys.path[:0] = [str(ROOT), str(ROOT / "tests")]
INSIDE = "STUDIO_RAY_BENCH_FOLDER"
UNSHARE = ("unshare", "--net", "--pid", "--fork", "--mount-proc", "--kill-child")
RAYLET = ("--num-cpus=1", "--object-store-memory=100000000", "--disable-usage-stats")
RANK = "RayTrainWorker"
EPOCHS = 40
# As often as a training may lose its ranks.
KILLS_PER_RUN = 5


def enter_namespace() -> int:
    """Run this script again where there is no network."""
    folder = Path(tempfile.mkdtemp(prefix="rb-"))
    environment = {
        **os.environ,
        INSIDE: str(folder),
        "HOME": str(folder),
        "STUDIO_HOME": str(folder / "home"),
        "PYTHONPATH": f"{ROOT}:{ROOT / 'tests'}",
        "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
        "RAY_AUTH_MODE": "token",
        "RAY_USAGE_STATS_ENABLED": "0",
        "RAY_DISABLE_DOCKER_CPU_WARNING": "1",
        "OMP_NUM_THREADS": "1",
        "HF_HUB_OFFLINE": "1",
        "HF_HOME": str(folder / "hf"),
    }
    for name in ("RAY_AUTH_TOKEN", "RAY_AUTH_TOKEN_PATH"):
        environment.pop(name, None)
    try:
        command = [*UNSHARE, sys.executable, __file__, *sys.argv[1:]]
        return subprocess.run(command, env=environment, check=False).returncode
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def start_cluster(folder: Path, n_raylets: int = 2) -> None:
    """Start a head and another raylet, each with a core."""
    subprocess.run(["ip", "link", "set", "lo", "up"], check=True)
    subprocess.run(["ray", "get-auth-token", "--generate"], check=True, capture_output=True)
    head = ["--head", "--port=6379", "--node-ip-address=127.0.0.1", "--dashboard-host=127.0.0.1"]
    options = {"check": True, "stdout": subprocess.DEVNULL, "stderr": subprocess.STDOUT}
    subprocess.run(["ray", "start", *head, *RAYLET, f"--temp-dir={folder / 'r'}"], **options)
    for number in range(1, n_raylets):
        other = ["--address=127.0.0.1:6379", f"--dashboard-agent-listen-port={52365 + number}"]
        subprocess.run(["ray", "start", *other, *RAYLET], **options)


def write_machine(home: Path, **row: object) -> None:
    """The cluster as a machine of the person's own."""
    import yaml

    entry = {
        "card": "zen3-core",
        "host": {"memory_gb": 8, "cores": 2},
        "name": "cluster",
        "ray": "http://127.0.0.1:8265",
        "python": sys.executable,
        "cards": 2,
        **row,
    }
    (home / "machines.yaml").write_text(yaml.safe_dump({"machines": {"cluster": entry}}), encoding="utf-8")


def build_plan(folder: Path, epochs: int, **training: object):
    from studio.plan import Data, MethodChoice, Plan, Training

    values = {"batch_size": 8, "learning_rate": 1e-2, "max_length": 64, "eval_count": 3, "epochs": epochs}
    return Plan(
        name="at a cluster",
        task="chat",
        model=str(folder / "llama"),
        data=Data(
            source=str(folder / "chat.csv"),
            columns={"prompt": "prompt", "response": "response"},
            validation_share=0.2,
        ),
        method=MethodChoice(name="lora", settings={"dropout": 0.1}),
        training=Training(**{**values, **training}),
        where="cluster",
    )


class Follow:
    """A run that is submitted and followed in a thread."""

    def __init__(self, plan, keep: bool = False) -> None:
        self.run = self.create(plan, keep)
        self.error: Exception | None = None
        self.start()

    @staticmethod
    def create(plan, keep: bool = False):
        """A run that somebody has agreed to."""
        from studio import runs
        from studio.launchers.record import Record

        run = runs.create(plan)
        Record(agreed=True, keep=keep).write(run)
        return run

    def start(self) -> None:
        self.started_at = time.monotonic()
        self._thread = threading.Thread(target=self._follow, daemon=True)
        self._thread.start()

    def _follow(self) -> None:
        from studio.launchers import follower

        try:
            follower.follow(self.run.id)
        except Exception as error:
            self.error = error

    @property
    def has_ended(self) -> bool:
        return not self._thread.is_alive()

    @property
    def step(self) -> int:
        from studio import runs

        status = runs.status(self.run)
        return status.step if status.state == "training" else 0

    def wait_for_step(self, step: int) -> None:
        while self.step < step and not self.has_ended:
            time.sleep(0.02)

    def wait(self) -> float:
        """Wait for the end; returns the seconds since the start."""
        self._thread.join()
        return time.monotonic() - self.started_at

    def resume(self) -> None:
        from studio.launchers import record
        from studio.training import launcher

        record.read(self.run).write(self.run, agreed=True)
        launcher.requeue(self.run)
        self.error = None
        self.start()


def read_losses(run) -> dict[tuple[str, int, str], float]:
    """Every loss of a run, as it was measured."""
    from studio import runs

    names = ("loss", "eval_loss")
    points = runs.read_points(run)
    return {(p["stage"], p["step"], name): p[name] for p in points for name in names if name in p}


def describe_differences(losses, expected) -> str:
    """What differs, and by how much."""
    missing = sorted(expected.keys() ^ losses.keys())
    common = sorted(expected.keys() & losses.keys(), key=lambda key: key[1])
    differing = [(key, losses[key], expected[key]) for key in common if losses[key] != expected[key]]
    return (
        f"  {len(missing)} missing {missing[:4]}, {len(differing)} of {len(common)} differ: {differing[:4]}"
    )


def find_ranks() -> list[int]:
    """The processes of the ranks that train now."""
    import psutil

    found = []
    for process in psutil.process_iter(["pid", "cmdline"]):
        if RANK in " ".join(process.info["cmdline"] or []):
            found.append(process.info["pid"])
    return found


def describe(run) -> str:
    from studio import runs

    status = runs.status(run)
    return f"{status.state}: {status.failure_text()[:160]}"


def kill_ranks(folder: Path, n_kills: int, chance: random.Random) -> bool:
    """Kill a rank at a random step, so many times; returns whether each run learned the same."""
    from studio import runs
    from studio.launchers import record

    undisturbed = Follow(build_plan(folder, EPOCHS))
    seconds = undisturbed.wait()
    expected, steps = read_losses(undisturbed.run), runs.status(undisturbed.run).steps
    print(
        f"undisturbed: {describe(undisturbed.run)} {steps} steps, first event after"
        f" {record.read(undisturbed.run).first_event_seconds} s, result after {seconds:.1f} s, last loss"
        f" {expected.get(('train', steps, 'loss'))}",
        flush=True,
    )
    if runs.status(undisturbed.run).state != "done":
        print((undisturbed.run.folder / "worker.log").read_text(encoding="utf-8")[-4000:])
        return False
    n_killed, outcomes = 0, []
    while n_killed < n_kills:
        follow = Follow(build_plan(folder, EPOCHS))
        for _ in range(min(KILLS_PER_RUN, n_kills - n_killed)):
            n_killed += kill_rank(follow, chance.randint(1, steps - 1), chance, n_killed + 1)
        seconds = follow.wait()
        losses = read_losses(follow.run)
        if losses != expected:
            print(describe_differences(losses, expected))
        outcomes.append(losses == expected)
        print(
            f"run {len(outcomes)}, {n_killed} kills so far: {describe(follow.run)} result after {seconds:.1f} s,"
            f" resumed {runs.report(follow.run).get('resumed')}, every loss the same: {outcomes[-1]}",
            flush=True,
        )
    print(f"{n_killed} kills: {sum(outcomes)} of {len(outcomes)} runs have the very same losses")
    return all(outcomes)


def kill_rank(follow: Follow, at_step: int, chance: random.Random, number: int) -> bool:
    """Kill one of the ranks at a step, and wait until all train again; returns whether it was killed."""
    if follow.step > at_step:  # it is beyond that by now
        at_step = follow.step + 5
    follow.wait_for_step(at_step)
    victims = find_ranks()
    if follow.has_ended or not victims or not follow.step:
        return False
    victim, killed_step, killed_at = chance.choice(victims), follow.step, time.monotonic()
    os.kill(victim, 9)
    while follow.step and not follow.has_ended:
        time.sleep(0.05)
    while not follow.step and not follow.has_ended:
        time.sleep(0.05)
    seconds = time.monotonic() - killed_at
    print(
        f"kill {number}: process {victim} at step {killed_step}; trains again after {seconds:.1f} s",
        flush=True,
    )
    return True


def measure_stop(folder: Path) -> None:
    from studio import runs
    from studio.training import launcher

    follow = Follow(build_plan(folder, 100))
    follow.wait_for_step(20)
    asked_at = time.monotonic()
    launcher.stop(follow.run)
    follow.wait()
    print(
        f"stop: result here {time.monotonic() - asked_at:.1f} s after it was asked for,"
        f" {describe(follow.run)}, usable {runs.is_usable(follow.run)}",
        flush=True,
    )
    while find_ranks():
        time.sleep(0.1)
    print(f"stop: no rank left {time.monotonic() - asked_at:.1f} s after it was asked for", flush=True)


def kill_driver(folder: Path) -> None:
    """Kill the driver: the run ends in a sentence and goes on when it is resumed."""
    import psutil

    from studio import runs

    follow = Follow(build_plan(folder, EPOCHS))
    follow.wait_for_step(60)
    for process in psutil.process_iter(["pid", "cmdline"]):
        command = process.info["cmdline"] or []
        if "studio.launchers.ray_job" in command:
            os.kill(process.info["pid"], 9)
    follow.wait()
    print(f"driver killed: {describe(follow.run)}, has a checkpoint {runs.has_saved_state(follow.run)}")
    follow.resume()
    follow.wait()
    print(f"driver killed, resumed: {describe(follow.run)}", flush=True)


def fill_disk(folder: Path) -> None:
    """Train where a disk of 12 MB is full before the end."""
    from studio import runs
    from studio.storage import home

    disk = folder / "small"
    disk.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=12m", "tmpfs", disk], check=True)
    write_machine(home(), storage=str(disk))
    filler = disk / "filler"
    follow = Follow(build_plan(folder, EPOCHS))
    follow.wait_for_step(60)
    try:
        with filler.open("wb") as file:
            while True:
                file.write(bytes(100_000))
    except OSError:
        pass
    follow.wait()
    print(f"disk full: {describe(follow.run)}", flush=True)
    filler.unlink(missing_ok=True)
    subprocess.run(["mount", "-o", "remount,size=200m", disk], check=True)
    follow.resume()
    follow.wait()
    print(f"disk full, resumed: {describe(follow.run)}", flush=True)
    write_machine(home())
    assert runs.status(follow.run).state == "done"


def exceed_cap(folder: Path) -> None:
    follow = Follow(build_plan(folder, 100, max_minutes=0.25))
    follow.wait()
    print(f"cap of 0.25 minutes: {describe(follow.run)}", flush=True)


def deny_token(folder: Path) -> None:
    os.environ["RAY_AUTH_TOKEN"] = "wrong"
    follow = Follow(build_plan(folder, EPOCHS))
    follow.wait()
    print(f"token denied: {describe(follow.run)}")
    del os.environ["RAY_AUTH_TOKEN"]
    follow.resume()
    follow.wait()
    print(f"token denied, resumed: {describe(follow.run)}", flush=True)


def train_side_by_side(folder: Path) -> None:
    """Three runs of one core at once, at two cores: the third one waits for its turn."""
    from studio import runs
    from studio.storage import home

    write_machine(home(), cards=1)
    follows = [Follow(build_plan(folder, EPOCHS)) for _ in range(3)]
    most, said = 0, set()
    while not all(follow.has_ended for follow in follows):
        most = max(most, sum(follow.step > 0 for follow in follows))
        for follow in follows:
            message = runs.status(follow.run).message
            if message:
                said.add(message.render())
        time.sleep(0.1)
    print(f"three runs at two cores: at most {most} trained at once; {[describe(f.run) for f in follows]}")
    print(f"what was said: {sorted(said)}", flush=True)
    write_machine(home())


def compete(folder: Path) -> None:
    """A bake-off of three contenders of a core each, at two cores, in processes of its own as from the page."""
    from studio import launchers, runs
    from studio.launchers import bake_off as elsewhere
    from studio.plan import MethodChoice
    from studio.storage import home
    from studio.training.bake_off import process, record, summary

    write_machine(home(), cards=1)
    plan = build_plan(folder, EPOCHS)
    names = ("lora", "frozen", "full")
    plans = [(name, plan.model_copy(update={"method": MethodChoice(name=name)})) for name in names]
    agreement = elsewhere.describe(plans, 60.0, launchers.find_machine("cluster"))
    print("\n".join(line.render() for line in agreement.lines))
    bake_off, started_at, most = elsewhere.create(agreement), time.monotonic(), 0
    process.start(bake_off)
    while process.is_alive(bake_off):
        states = [runs.status(each.run).state for each in bake_off.contenders]
        most = max(most, states.count("training"))
        time.sleep(0.2)
    result = summary.summarize(record.get(bake_off.id))
    print(f"bake-off: {result.bake_off.state} after {time.monotonic() - started_at:.0f} s, {most} at once")
    for row in result.rows:
        each, score = row.contender, result.format_score(row)
        print(
            f"  {each.name}: {each.outcome}, {score and score.render()}, {each.share:.0%},"
            f" {each.minutes:.2f} min; {describe(each.run)}"
        )
    print("\n".join(line.render() for line in result.recommend()), flush=True)
    write_machine(home())


def give_up(folder: Path) -> None:
    """Delete a run that trains there while nobody follows it: no rank, no job and no folder stays behind."""
    from studio import launchers
    from studio.launchers import connection, record
    from studio.launchers.ray_jobs import RayLauncher
    from studio.training import setup

    machine = launchers.find_machine("cluster")
    print([line.render() for line in connection.look_at_cluster(machine).lines])
    run = Follow.create(build_plan(folder, 100))
    setup.prepare_data(run, run.plan)
    job = RayLauncher(machine).submit(run, 0, lambda *_: None)
    record.read(run).write(run, machine=machine.name, job=job, sent=True)
    while len(find_ranks()) < 2:
        time.sleep(0.1)
    time.sleep(5)
    started_at = time.monotonic()
    said = launchers.discard(run)
    seconds = time.monotonic() - started_at
    while find_ranks():
        time.sleep(0.1)
    left = [path.name for path in (folder / ".studio-remote" / "ray").iterdir()]
    print(
        f"given up after {seconds:.1f} s: {said and said.render()} No rank {time.monotonic() - started_at:.1f} s"
        f" later; jobs {[each['submission_id'] for each in RayLauncher(machine)._list_jobs()]}, folders {left}",
        flush=True,
    )


FAULTS = {
    "stop": measure_stop,
    "driver": kill_driver,
    "disk": fill_disk,
    "cap": exceed_cap,
    "token": deny_token,
    "side": train_side_by_side,
    "bake-off": compete,
    "deleted": give_up,
}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kills", type=int, default=1, help="how many times a rank is killed")
    parser.add_argument("--faults", nargs="*", choices=FAULTS, default=list(FAULTS))
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    if INSIDE not in os.environ:
        return enter_namespace()
    folder = Path(os.environ[INSIDE])
    from toys import save_tiny_llama, write_toy_files

    from studio.storage import home

    save_tiny_llama(folder / "llama")
    write_toy_files(folder)
    write_machine(home())
    start_cluster(folder)
    is_good = not options.kills or kill_ranks(folder, options.kills, random.Random(options.seed))
    for name in options.faults:
        FAULTS[name](folder)
    return 0 if is_good else 1


if __name__ == "__main__":
    sys.exit(main())
