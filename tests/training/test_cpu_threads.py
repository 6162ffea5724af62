"""The number of threads follows the machine: it is chosen by measuring, and again when a run slows down."""

import pytest

from studio.training import cpu_threads
from studio.training.cpu_threads import ThreadTuner


class Machine:
    """A machine with two cores, of which another program may take one."""

    def __init__(self):
        self.now, self.threads, self.is_busy, self.n_benchmarks = 0.0, 2, False, 0

    def use(self, threads):
        self.threads = threads

    def benchmark(self, seconds):
        self.n_benchmarks += 1
        self.now += seconds
        return self.rate()

    def rate(self):
        if self.threads == 1:
            return 85.0
        return 9.0 if self.is_busy else 150.0

    def clock(self):
        return self.now

    def run(self, tuner, steps, seconds=3.0):
        for _ in range(steps):
            self.now += seconds
            tuner.step(self.rate(), self.is_busy and self.threads == 2)


@pytest.fixture
def machine():
    return Machine()


@pytest.fixture
def tuner(machine):
    return ThreadTuner(2, machine.use, machine.benchmark, machine.clock)


def test_a_quiet_machine_uses_every_core_and_is_measured_once(machine, tuner):
    tuner.choose()
    machine.run(tuner, 50)
    assert (tuner.threads, machine.threads, machine.n_benchmarks) == (2, 2, 2)


def test_a_machine_that_is_busy_from_the_start_gives_up_a_core_before_the_first_step(machine, tuner):
    machine.is_busy = True
    tuner.choose()
    assert (tuner.threads, machine.threads) == (1, 1)


def test_a_machine_that_becomes_busy_is_noticed_within_three_steps(machine, tuner):
    tuner.choose()
    machine.run(tuner, 10)
    machine.is_busy = True
    machine.run(tuner, 3)
    assert machine.threads == 1


def test_a_machine_that_becomes_quiet_gets_its_core_back(machine, tuner):
    machine.is_busy = True
    tuner.choose()
    machine.is_busy = False
    machine.run(tuner, 8)
    assert machine.threads == 2


def test_a_run_that_slows_down_for_another_reason_is_measured_again_and_keeps_its_threads(machine, tuner):
    tuner.choose()
    for rate in [150.0] * 5 + [60.0] * 5:
        machine.now += 3
        tuner.step(rate, False)
    assert machine.n_benchmarks > 2
    assert machine.threads == 2


def test_a_little_faster_is_not_reason_enough_to_leave_a_core_idle(machine, tuner):
    machine.benchmark = lambda seconds: 100.0 if machine.threads == 2 else 105.0
    tuner.choose()
    assert machine.threads == 2


def test_one_core_is_never_measured(machine):
    tuner = ThreadTuner(1, machine.use, machine.benchmark, machine.clock)
    tuner.choose()
    machine.run(tuner, 50)
    assert machine.n_benchmarks == 0


def test_many_cores_try_all_one_fewer_and_half(machine):
    assert ThreadTuner(8, machine.use, machine.benchmark, machine.clock).thread_counts == [8, 7, 4]


def test_the_benchmark_measures_real_work():
    assert cpu_threads.benchmark_matmul(0.02) > 1
