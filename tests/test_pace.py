"""The number of threads follows what was measured: told here by a made-up machine and a made-up clock."""

import pytest

from studio.train.pace import AGAIN_SECONDS, TRIAL, Pace


class Machine:
    """A machine that makes so many tokens per second with so many threads; each step takes a second of the made-up clock."""

    def __init__(self, cores, **rates):
        self.now, self.used = 0.0, []
        self.rates = {int(name.removeprefix("with_")): rate for name, rate in rates.items()}
        self.pace = Pace(cores, self.used.append, clock=lambda: self.now)

    def work(self, steps, crowded=False):
        for _ in range(steps):
            self.now += 1
            self.pace.step(self.rates[self.pace.threads], crowded)
        return self.pace.threads


def test_a_quiet_machine_is_left_alone():
    machine = Machine(2, with_2=150, with_1=85)
    assert machine.work(500) == 2
    assert machine.used == []


def test_a_crowded_machine_takes_one_thread_fewer_where_that_is_faster():
    machine = Machine(2, with_2=50, with_1=85)
    assert machine.work(30, crowded=True) == 1


def test_a_crowded_machine_keeps_all_threads_where_they_are_faster_still():
    machine = Machine(2, with_2=100, with_1=85)
    assert machine.work(100, crowded=True) == 2
    assert 1 in machine.used  # it was tried


def test_in_a_near_tie_all_threads_win():
    assert Machine(2, with_2=100, with_1=107).work(15, crowded=True) == 2
    assert Machine(2, with_2=100, with_1=109).work(15, crowded=True) == 1


def test_nothing_is_tried_in_the_first_seconds():
    machine = Machine(2, with_2=50, with_1=85)
    machine.work(int(AGAIN_SECONDS / 9), crowded=True)
    assert machine.used == []


def test_a_run_that_slows_down_is_measured_anew_even_if_the_machine_looks_quiet():
    machine = Machine(2, with_2=150, with_1=85)
    machine.work(20)
    machine.rates[2] = 50
    assert machine.work(20) == 1


def test_a_small_slowdown_is_not_worth_a_trial():
    machine = Machine(2, with_2=100, with_1=85)
    machine.work(20)
    machine.rates[2] = 80
    machine.work(100)
    assert machine.used == []


def test_all_threads_come_back_when_the_machine_is_quiet_again():
    machine = Machine(2, with_2=50, with_1=85)
    machine.work(20, crowded=True)
    assert machine.pace.threads == 1
    machine.rates[2] = 150
    assert machine.work(int(AGAIN_SECONDS) + 4 * TRIAL) == 2


def test_with_fewer_threads_the_machine_is_not_tried_again_too_soon():
    machine = Machine(2, with_2=50, with_1=85)
    machine.work(20, crowded=True)
    tried = len(machine.used)
    machine.work(20, crowded=True)
    assert len(machine.used) == tried


def test_the_first_step_after_a_change_does_not_count():
    machine = Machine(2, with_2=50, with_1=85)
    while 1 not in machine.used:
        machine.work(1, crowded=True)
    for rate in (1, 85, 85):  # starting threads made the first step slow
        machine.pace.step(rate, True)
    assert machine.pace.threads == 1


@pytest.mark.parametrize("cores", [0, 1])
def test_one_core_leaves_no_choice(cores):
    machine = Machine(cores, with_1=10)
    assert machine.work(200, crowded=True) == 1
    assert machine.used == []


def test_many_cores_give_up_one():
    assert Machine(8, with_8=50, with_7=85).work(30, crowded=True) == 7
