"""`studio cluster`: a Ray cluster on this machine, on which other machines' studios can train."""

import argparse

from studio.cli import EXIT_OK
from studio.errors import NotPossible
from studio.i18n import Message
from studio.launchers import cluster, ray_jobs
from studio.launchers.cluster import Cluster

RUNS = Message("The cluster answers at {address}; it asks for a token.")
WRITE_ENTRY = Message("Write this into ~/.studio/machines.yaml on the machine that sends runs here:")
TOKEN = Message(
    "Print the token here with `ray get-auth-token`, and put it there into RAY_AUTH_TOKEN or {file}."
)
LOOPBACK = Message(
    "It answers on this machine alone. From another one: ssh -L {port}:localhost:{port} THIS-MACHINE, and"
    " ray: http://localhost:{port}."
)
OPEN_PORTS = Message(
    "Ray opens further ports on all network cards. A firewall should let in no one but the cluster's nodes."
)
MORE_NODES = Message(
    "To add a machine with the same studio and token: RAY_AUTH_MODE=token ray start --address={host}:{port}"
)
STOPPED = Message("The cluster has ended. Runs that trained there go on when they are resumed.")
N_JOBS = Message("{count} {count:job runs|jobs run} there: {names}")
NO_JOBS = Message("No job runs there.")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add what to do, and where the cluster answers."""
    parser.add_argument("action", choices=("start", "stop", "status"))
    parser.add_argument(
        "--host", default="127.0.0.1", help="start: the address of this machine at which it answers"
    )
    parser.add_argument("--port", type=int, default=cluster.PORT, help="start: the port of its dashboard")


def run(options: argparse.Namespace) -> int:
    """Start, stop or describe the cluster.

    Raises:
        NotPossible: Ray is not installed, a cluster runs already, or none runs.
        StudioError: Ray did not start.
    """
    if options.action == "start":
        _describe_start(cluster.start(options.host, options.port), options)
        return EXIT_OK
    running = cluster.find()
    if not running:
        raise NotPossible(cluster.NONE_RUNS, cluster.START_ONE)
    if options.action == "stop":
        cluster.stop(running)
        print(STOPPED.render())
    else:
        _describe_jobs(running)
    return EXIT_OK


def _describe_start(started: Cluster, options: argparse.Namespace) -> None:
    print(RUNS.render(address=started.address))
    print(WRITE_ENTRY.render())
    print(cluster.describe_entry(started))
    print(TOKEN.render(file=ray_jobs.TOKEN_FILE))
    if options.host in ray_jobs.LOOPBACK_HOSTS:
        print(LOOPBACK.render(port=options.port))
    else:
        print(MORE_NODES.render(host=options.host, port=cluster.RAY_PORT))
        print(OPEN_PORTS.render())


def _describe_jobs(running: Cluster) -> None:
    print(RUNS.render(address=running.address))
    names = cluster.list_jobs(running)
    print(N_JOBS.render(count=len(names), names=names) if names else NO_JOBS.render())
