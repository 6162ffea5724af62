"""Machines and prices: figures have sources, a person's own rows win, money is counted as it is billed."""

import os
import subprocess
import sys
from datetime import date, timedelta

import psutil
import pytest
import yaml

from studio import cgroups, presets, runs
from studio.errors import BadPlan
from studio.estimate.machines import catalogue, hardware
from studio.models import cpu_precision

GIB = 2**30
TODAY = date(2026, 11, 29)
QUERY_GPU = hardware.query_gpu
SHIPPED = yaml.safe_load((presets.FOLDER / "machines.yaml").read_text(encoding="utf-8"))


@pytest.fixture
def write_machines(studio_home):
    """Write the person's own file of machines; returns its path."""

    def write(text):
        file = studio_home / "machines.yaml"
        file.write_text(text, encoding="utf-8")
        return file

    return write


@pytest.fixture(autouse=True)
def no_gpu(monkeypatch):
    """The machine that runs the tests counts as one without a GPU, whatever it has."""
    monkeypatch.setattr(hardware, "query_gpu", lambda: None)
    monkeypatch.delenv("STUDIO_PRECISION", raising=False)
    monkeypatch.setattr(cpu_precision, "bf16_speedup", lambda: 1.0)


@pytest.fixture
def smi(no_gpu, monkeypatch):
    """A nvidia-smi that prints this text."""
    monkeypatch.setattr(hardware, "query_gpu", QUERY_GPU)
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    monkeypatch.setattr(hardware.shutil, "which", lambda name: f"/usr/bin/{name}")
    hardware._query_nvidia_smi.cache_clear()

    def answer(text, returncode=0):
        def run(command, **about):
            if returncode:
                raise subprocess.CalledProcessError(returncode, command)
            return subprocess.CompletedProcess(command, 0, stdout=text)

        monkeypatch.setattr(subprocess, "run", run)

    yield answer
    hardware._query_nvidia_smi.cache_clear()


def find_problems(write_machines, text):
    """The problems of a file, each without the file's name in front."""
    file = write_machines(text)
    with pytest.raises(BadPlan) as caught:
        catalogue.load_machines()
    assert all(problem.startswith(f"{file}: ") for problem in caught.value.problems)
    return [problem.removeprefix(f"{file}: ") for problem in caught.value.problems]


def test_a_shipped_machine_has_every_figure_the_estimator_needs():
    machines = catalogue.load_machines()
    more = [(name, row.get("more", ())) for name, row in SHIPPED["machines"].items()]
    expanded = {f"{name}-x{count}" for name, counts in more for count in counts}
    assert set(machines) == set(SHIPPED["machines"]) | expanded
    failures = {}
    for machine_id, machine in machines.items():
        prices = (machine.price_per_hour, machine.price_source, machine.billed)
        checks = {
            "id": machine.id == machine_id,
            "name": bool(machine.name),
            "memory": 10 * GIB < machine.usable_bytes < 250 * GIB,
            "arithmetic": 0 < machine.tflops_32 <= machine.tflops_16 < 3000,
            "bandwidth": 10 < machine.bandwidth_gb_s < 10000,
            "source": bool(machine.spec_source.said),
            "price": len({price is None for price in prices}) == 1,
        }
        if failed := [name for name, is_met in checks.items() if not is_met]:
            failures[machine_id] = failed
    assert failures == {}


def test_every_shipped_figure_names_its_source_and_its_date():
    rows = [
        *SHIPPED["cards"].values(),
        *SHIPPED["hosted"].values(),
        *(row["price"] for row in SHIPPED["machines"].values() if "price" in row),
    ]
    for row in rows:
        assert row["source"]["said"]
        assert row["source"]["quality"] in ("cited", "recalled")
        assert date(2025, 1, 1) <= row["source"]["date"] <= TODAY


def test_every_shipped_gpu_is_offered_or_known_by_its_name():
    offered = {row["card"] for row in SHIPPED["machines"].values()}
    unused = {
        name for name, card in SHIPPED["cards"].items() if name not in offered and not card.get("seen_as")
    }
    assert all(
        SHIPPED["cards"][name].get("memory_gb") is None for name in unused
    )  # Apple's: a person names the memory


def test_a_note_on_a_machine_is_in_both_languages():
    notes = [machine.note for machine in catalogue.load_machines().values() if machine.note] + [
        offer.note for offer in catalogue.hosted_offers() if offer.note
    ]
    assert notes
    assert all(note.render() and note.render("zh") for note in notes)


def test_a_t4_has_what_was_measured_and_other_gpus_its_share():
    machines = catalogue.load_machines()
    assert machines["hf-t4-small"].usable_bytes == int(14.56 * GIB)
    assert "usable_bytes" not in machines["hf-t4-small"].assumed
    assert not machines["hf-t4-small"].bf16
    assert machines["hf-t4-small"].autocast_dtype == "float16"
    assert machines["hf-l4x1"].usable_bytes == int(24 * 0.935 * GIB)
    assert machines["hf-l4x1"].assumed == ("usable_bytes",)
    assert machines["hf-l4x1"].tflops_32 == 30.3


def test_a_cpu_is_as_fast_as_its_cores_together():
    machine = catalogue.load_machines()["hf-cpu-upgrade"]
    assert not machine.is_gpu
    assert machine.tflops_16 == machine.tflops_32 == pytest.approx(8 * 0.07)
    assert machine.bandwidth_gb_s == 15


def test_a_price_is_stale_after_half_a_year():
    source = catalogue.load_machines()["modal-t4"].price_source
    assert source.date == date(2026, 5, 7)
    assert not catalogue.is_stale(source, source.date + timedelta(days=180))
    assert catalogue.is_stale(source, source.date + timedelta(days=181))
    assert not catalogue.is_stale(None, TODAY)


def test_the_stale_prices_of_the_list_are_recognised_by_their_date():
    old = {
        machine.id
        for machine in catalogue.load_machines().values()
        if catalogue.is_stale(machine.price_source, TODAY)
    }
    assert {"modal-t4", "modal-h100", "suanjiayun-rtx-4090"} <= old
    assert not {"hf-t4-small", "runpod-h100-sxm", "rtx-4090"} & old


def test_a_machine_without_a_price_costs_nothing_known_and_a_free_one_nothing():
    machines = catalogue.load_machines()
    assert catalogue.dollars_of_minutes(machines["rtx-4090"], 60) is None
    assert catalogue.dollars_of_minutes(machines["hf-zero"], 60) == 0


def test_seconds_are_billed_as_seconds():
    """A plain ceil of 23 / 60 minutes over 1 / 60 makes 24 seconds of 23, as of 170 figures below 2,000."""
    seconds = [23, 31, 46, 62, *range(1, 2000)]
    wrongly_billed = {
        n_seconds: hours * 3600
        for n_seconds in seconds
        if (hours := catalogue.billed_hours("second", n_seconds / 60)) * 3600 != pytest.approx(n_seconds)
    }
    assert wrongly_billed == {}
    assert catalogue.billed_hours("second", 23.2 / 60) == pytest.approx(24 / 3600)


def test_money_is_counted_in_the_unit_that_is_billed():
    machines = catalogue.load_machines()
    by_minute, by_second, by_hour = machines["hf-t4-medium"], machines["modal-t4"], machines["lambda-a10"]
    assert catalogue.billed_hours(by_minute.billed, 10.2) == pytest.approx(11 / 60)
    assert catalogue.dollars_of_minutes(by_minute, 10.2) == pytest.approx(0.11)  # 11 minutes at a cent
    assert catalogue.billed_hours(by_second.billed, 61 / 60) == pytest.approx(61 / 3600)
    assert catalogue.billed_hours(by_second.billed, 0.001) == pytest.approx(1 / 3600)
    assert "billed" in by_hour.assumed
    assert catalogue.dollars_of_minutes(by_hour, 61) == pytest.approx(2 * 1.29)
    assert catalogue.billed_hours(machines["rtx-4090"].billed, 90) == 1.5
    assert catalogue.billed_hours(by_minute.billed, 0) == 0


def test_yuan_are_not_called_dollars():
    machine = catalogue.load_machines()["suanjiayun-rtx-4090"]
    assert machine.currency == "CNY"
    assert catalogue.cost_of_minutes(machine, 120) == pytest.approx(2.48)
    assert catalogue.dollars_of_minutes(machine, 120) is None


def test_two_million_tokens_at_a_hosted_service():
    offers = {offer.id: offer for offer in catalogue.hosted_offers()}
    assert catalogue.hosted_dollar_range(offers["ori"], 2e6) == pytest.approx((0.92, 0.92))


def test_every_shipped_price_was_read_somewhere_on_some_day():
    prices = [machine.price_source for machine in catalogue.load_machines().values() if machine.price_source]
    for source in [*prices, *(offer.source for offer in catalogue.hosted_offers())]:
        assert source.quality == "cited"
        assert source.date


def test_a_persons_row_stands_in_for_the_shipped_one(write_machines):
    file = write_machines("machines:\n  hf-t4-small: {card: t4, price: {per_hour: 0.44, billed: minute}}\n")
    machine = catalogue.load_machines()["hf-t4-small"]
    assert machine.price_per_hour == 0.44
    assert machine.name == "NVIDIA T4"  # the whole row is replaced
    assert machine.price_source.said == str(file)
    assert machine.price_source.date == date.fromtimestamp(file.stat().st_mtime)
    assert catalogue.load_machines()["hf-t4-medium"].price_per_hour == 0.60


def test_a_changed_file_is_read_again_and_a_removed_one_forgotten(write_machines):
    text = "machines:\n  rtx-4090: {card: rtx-4090, price: {per_hour: %s}}\n"
    file = write_machines(text % 1)
    assert catalogue.load_machines()["rtx-4090"].price_per_hour == 1
    write_machines(text % 2)
    os.utime(file, ns=(0, file.stat().st_mtime_ns + 1_000_000_000))
    assert catalogue.load_machines()["rtx-4090"].price_per_hour == 2
    file.unlink()
    assert catalogue.load_machines()["rtx-4090"].price_per_hour is None


def test_a_gpu_and_a_service_of_a_persons_own_file(write_machines):
    write_machines(
        "cards:\n"
        "  gaudi: {name: Gaudi, kind: card, memory_gb: 100, usable_gb: 90, bf16: true, tflops_16: 400,"
        " bandwidth_gb_s: 2000}\n"
        "machines:\n"
        "  ours: {card: gaudi, start_minutes: 3}\n"
        "  my-mac: {card: m4-max, host: {memory_gb: 64, usable_gb: 48}}\n"
        "hosted:\n  ours: {name: Ours, low: 1, high: 2}\n"
    )
    machines = catalogue.load_machines()
    assert machines["ours"].usable_bytes == 90 * GIB
    assert machines["ours"].start_minutes == 3
    assert machines["my-mac"].usable_bytes == 48 * GIB
    assert catalogue.hosted_offers()[-1].id == "ours"


def test_everything_wrong_in_a_persons_file_is_named_with_file_and_key(write_machines):
    problems = find_problems(
        write_machines,
        "machines:\n"
        "  a: {card: t4, colour: blue}\n"
        "  b: {card: t4, price: {per_hour: -1}}\n"
        "  c: {card: t4, cards: 100}\n",
    )
    assert [problem.split(": ")[0] for problem in problems] == [
        "machines.a.colour",
        "machines.b.price.per_hour",
        "machines.c.cards",
    ]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("machines: {a: {card: t5}}", "machines.a.card: expected one of t4, l4"),
        ("machines: {a: {name: A}}", "machines.a.card: expected one of"),
        ("machines: {here: {card: t5}}", "machines.here.card: expected one of"),
        ("machines: {a: {card: m4-max}}", "machines.a.host: is missing"),
        ("machines: {a: {card: zen3-core, host: {memory_gb: 8}}}", "machines.a.host.cores: is missing"),
        (
            "machines: {a: {card: t4, price: {per_hour: 3, billed: free}}}",
            "machines.a.price: what is free costs 0 per hour, but got 3",
        ),
        ("machines: {a: {card: t4, price: {per_hour: .inf}}}", "machines.a.price.per_hour: "),
        ("machines: {a: {card: t4, price: {per_hour: 1, currency: dollars}}}", "machines.a.price.currency: "),
        ("hosted: {a: {name: A, low: 1}}", "hosted.a.high: "),
        ("machines:", "machines: "),
        ("- t4", "expected keys and values"),
        ("machines: {", "is not valid YAML"),
    ],
)
def test_a_wrong_file_says_what_is_wrong(write_machines, text, expected):
    problems = find_problems(write_machines, text)
    assert len(problems) == 1
    assert problems[0].startswith(expected)


def test_an_empty_file_changes_nothing(write_machines):
    before = catalogue.load_machines()
    write_machines("# nothing yet\n")
    assert catalogue.load_machines() == before


def test_this_machine_has_sane_figures_and_no_price():
    machine = catalogue.local_machine()
    assert (machine.id, machine.is_gpu, machine.torch_device) == ("here", False, "cpu")
    assert 0 <= machine.usable_bytes < psutil.virtual_memory().total
    assert machine.tflops_32 == pytest.approx(0.07 * cgroups.available_cores())
    assert set(machine.assumed) == {"tflops_16", "tflops_32", "bandwidth_gb_s"}
    assert catalogue.dollars_of_minutes(machine, 60) is None


def test_this_machine_takes_its_price_from_a_persons_file(write_machines):
    write_machines("machines: {here: {name: The office PC, price: {per_hour: 0.12}}}")
    machine = catalogue.local_machine()
    assert machine.name == "The office PC"
    assert catalogue.dollars_of_minutes(machine, 30) == pytest.approx(0.12)
    assert "here" not in catalogue.load_machines()


def write_all(folder, files):
    for name, text in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)


@pytest.mark.parametrize(
    "files",
    [
        {
            "memory.max": "3000000000\n",
            "memory.current": "900000000\n",
            "memory.stat": "anon 5\ninactive_file 400000000\n",
        },
        {
            "memory/memory.limit_in_bytes": "3000000000\n",
            "memory/memory.usage_in_bytes": "900000000\n",
            "memory/memory.stat": "inactive_file 1\ntotal_inactive_file 400000000\n",
        },
    ],
    ids=["v2", "v1"],
)
def test_the_limit_of_a_container_decides_the_memory(tmp_path, monkeypatch, files):
    monkeypatch.setattr(hardware.psutil, "virtual_memory", lambda: memory_with(64_000_000_000))
    write_all(tmp_path / "cg", files)
    # 3 GB, less 0.9 GB in use of which 0.4 GB can be given back, less 1 GB for the page.
    assert catalogue.local_machine(tmp_path / "cg").usable_bytes == 1_500_000_000


@pytest.mark.parametrize(
    ("own", "files"),
    [
        ("0::/system.slice/studio.service\n", {"system.slice/memory.max": "3000000000\n"}),
        ("0::/system.slice/studio.service\n", {"system.slice/studio.service/memory.max": "3000000000\n"}),
        (
            "4:memory:/slurm/job_7\n1:cpu,cpuacct:/\n",
            {"memory/slurm/job_7/memory.limit_in_bytes": "3000000000\n"},
        ),
    ],
)
def test_the_limit_of_a_unit_or_a_job_counts_as_well(tmp_path, monkeypatch, own, files):
    """A process that was put into a cgroup sees the whole tree, and its limit is not at the root of it."""
    monkeypatch.setattr(hardware.psutil, "virtual_memory", lambda: memory_with(64_000_000_000))
    (tmp_path / "own").write_text(own, encoding="utf-8")
    monkeypatch.setattr(cgroups, "OWN_CGROUPS", tmp_path / "own")
    write_all(tmp_path / "cg", files)
    assert catalogue.local_machine(tmp_path / "cg").usable_bytes == 2_000_000_000


def memory_with(available):
    class Memory:
        total = 64_000_000_000

    Memory.available = available
    return Memory


def test_what_an_active_run_holds_is_there_for_the_next_one(make_plan, monkeypatch, tmp_path):
    monkeypatch.setattr(hardware.psutil, "virtual_memory", lambda: memory_with(2_000_000_000))
    write_all(tmp_path / "cg", {"memory.max": "max\n"})
    assert catalogue.local_machine(tmp_path / "cg").usable_bytes == 1_000_000_000
    run = runs.create(make_plan())
    with subprocess.Popen(
        [sys.executable, "-c", "hold = b'x' * 300_000_000; print(flush=True); input()"], stdin=-1, stdout=-1
    ) as other:
        other.stdout.readline()
        runs.claim(run, other.pid)
        assert 1_300_000_000 <= catalogue.local_machine(tmp_path / "cg").usable_bytes < 1_400_000_000
        other.communicate(b"\n")
    assert catalogue.local_machine(tmp_path / "cg").usable_bytes == 1_000_000_000


@pytest.mark.thorough
def test_a_process_counts_its_own_peak_and_not_that_of_whoever_started_it():
    code = "from studio.estimate.machines import hardware; print(hardware.peak_resident_bytes())"
    held_bytes = b"x" * 700_000_000
    child = subprocess.run([sys.executable, "-c", code], capture_output=True, check=True, text=True)
    assert len(held_bytes) > 3 * int(child.stdout)
    assert hardware.peak_resident_bytes() > len(held_bytes)


def test_without_a_limit_the_free_memory_decides(tmp_path, monkeypatch):
    monkeypatch.setattr(hardware.psutil, "virtual_memory", lambda: memory_with(5_000_000_000))
    write_all(
        tmp_path / "cg", {"memory.max": "max\n", "memory/memory.limit_in_bytes": "9223372036854771712\n"}
    )
    assert catalogue.local_machine(tmp_path / "cg").usable_bytes == 4_000_000_000
    monkeypatch.setattr(hardware.psutil, "virtual_memory", lambda: memory_with(500_000_000))
    assert catalogue.local_machine(tmp_path / "none").usable_bytes == 0


@pytest.mark.parametrize(
    ("files", "cores"),
    [
        ({"cpu.max": "50000 100000\n"}, 0.5),
        ({"cpu.max": "max 100000\n"}, 4),
        ({"cpu/cpu.cfs_quota_us": "150000\n", "cpu/cpu.cfs_period_us": "100000\n"}, 1.5),
        ({"cpu/cpu.cfs_quota_us": "-1\n", "cpu/cpu.cfs_period_us": "100000\n"}, 4),
        ({}, 4),
    ],
)
def test_the_limit_of_a_container_decides_the_cores(tmp_path, monkeypatch, files, cores):
    monkeypatch.setattr(hardware.os, "sched_getaffinity", lambda _: {0, 1, 2, 3}, raising=False)
    write_all(tmp_path / "cg", files)
    assert catalogue.local_machine(tmp_path / "cg").tflops_32 == pytest.approx(0.07 * cores)


def test_a_listed_gpu_here_has_its_own_figures_and_its_free_memory(smi):
    smi("NVIDIA H200, 143771, 100000, 9.0\nTesla T4, 15360, 15000, 7.5\n")
    machine = catalogue.local_machine()
    assert (machine.is_gpu, machine.torch_device, machine.name, machine.bf16) == (
        True,
        "cuda",
        "NVIDIA H200",
        True,
    )
    assert machine.usable_bytes == 100_000 * 2**20
    assert machine.tflops_16 == 989
    assert machine.assumed == ()


def test_a_run_that_a_gpu_does_not_show_yet_adds_no_memory_that_it_lacks(smi, monkeypatch):
    """Of 80 GB 75 were free when they were last asked for; a run that began since then holds 45."""
    smi("NVIDIA A100-SXM4-80GB, 81920, 76800, 8.0\n")
    for held_gb, usable_mib in ((0, 76_800), (45, 81_920)):
        monkeypatch.setattr(hardware, "reclaimable_bytes", lambda on_gpu, gb=held_gb: gb * 10**9)
        assert catalogue.local_machine().usable_bytes == usable_mib * 2**20


@pytest.mark.parametrize(("answer", "share"), [("97\n", 0.97), ("[N/A]\n", 0.0), ("", 0.0)])
def test_how_busy_a_gpu_is_is_what_nvidia_smi_says(smi, answer, share):
    smi(answer)
    assert hardware.gpu_busy_share() == share


@pytest.mark.parametrize(("chip", "tflops"), [("Apple M3 Max", 14), ("M9", 2.6)])
def test_a_mac_counts_with_its_gpu_in_32_bits_and_an_unknown_chip_as_an_m1(chip, tflops, monkeypatch):
    monkeypatch.setattr(hardware, "apple_chip", lambda: chip)
    machine = catalogue.local_machine()
    assert (machine.is_gpu, machine.has_unified_memory, machine.name) == (True, True, chip)
    assert (machine.tflops_32, machine.weights_dtype, machine.torch_device) == (tflops, "", "cpu")
    assert ("tflops_32" in machine.assumed) == (chip == "M9")


@pytest.mark.parametrize(
    ("capability", "stand_in"),
    [("12.0", "rtx-pro-6000-half"), ("9.0", "h100-pcie"), ("8.9", "l4"), ("8.6", "a10"), ("7.0", "t4")],
)
def test_an_unknown_gpu_here_counts_as_the_slowest_of_its_generation_and_says_so(smi, capability, stand_in):
    smi(f"NVIDIA GeForce RTX 9999, 32000, 31000, {capability}\n")
    machine = catalogue.local_machine()
    rate = catalogue._load_catalogue().cards[stand_in].tflops_16
    assert (machine.tflops_16, machine.watts) == (rate, None)
    assert set(machine.assumed) == {"tflops_16", "tflops_32", "bandwidth_gb_s"}
    assert "NVIDIA GeForce RTX 9999" in machine.spec_source.said
    assert machine.spec_source.quality == "recalled"


@pytest.mark.parametrize(
    ("capability", "dtype"), [("12.0", "bfloat16"), ("8.0", "bfloat16"), ("7.0", "float16"), ("6.1", "")]
)
def test_what_an_unknown_gpu_computes_in_follows_from_its_compute_capability(smi, capability, dtype):
    smi(f"NVIDIA GeForce 9999, 32000, 31000, {capability}\n")
    assert catalogue.local_machine().autocast_dtype == dtype


def test_a_gpu_that_the_person_does_not_want_leaves_the_cpu(smi, monkeypatch):
    smi("Tesla T4, 15360, 15000, 7.5\n")
    monkeypatch.setenv("STUDIO_DEVICE", "cpu")
    assert not catalogue.local_machine().is_gpu
    monkeypatch.setenv("STUDIO_DEVICE", "cuda")
    assert catalogue.local_machine().is_gpu


@pytest.mark.parametrize("text", ["", "NVIDIA GB10, [N/A], [N/A], 12.1\n", "No devices were found\n"])
def test_an_answer_without_a_gpu_leaves_the_cpu(smi, text):
    smi(text)
    assert not catalogue.local_machine().is_gpu


def test_a_gpu_that_does_not_answer_or_is_hidden_leaves_the_cpu(smi, monkeypatch):
    smi("", returncode=9)
    assert not catalogue.local_machine().is_gpu
    smi("Tesla T4, 15360, 15000, 7.5\n")
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "-1")
    assert not catalogue.local_machine().is_gpu
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "0")
    assert catalogue.local_machine().is_gpu
