"""Machines and prices: every figure has a source, a person's own rows win, and money is counted as it is billed."""

import os
import subprocess
import sys
from datetime import date, timedelta

import psutil
import pytest
import yaml

from studio import presets, runs
from studio.errors import BadPlan
from studio.estimate.machines import catalogue, hardware

GIB = 2**30
TODAY = date(2026, 11, 23)
ASK = hardware.query_gpu
SHIPPED = yaml.safe_load((presets.FOLDER / "machines.yaml").read_text(encoding="utf-8"))


@pytest.fixture
def own(studio_home):
    """Write the person's own file of machines; its path comes back."""

    def write(text):
        file = studio_home / "machines.yaml"
        file.write_text(text, encoding="utf-8")
        return file

    return write


@pytest.fixture(autouse=True)
def no_card(monkeypatch):
    """The machine that runs the tests counts as one without a card, whatever it has."""
    monkeypatch.setattr(hardware, "query_gpu", lambda: None)


@pytest.fixture
def smi(no_card, monkeypatch):
    """A nvidia-smi that gives this answer."""
    monkeypatch.setattr(hardware, "query_gpu", ASK)
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    monkeypatch.setattr(hardware.shutil, "which", lambda name: f"/usr/bin/{name}")
    hardware._query_nvidia_smi.cache_clear()

    def answer(text, rc=0):
        def run(command, **about):
            if rc:
                raise subprocess.CalledProcessError(rc, command)
            return subprocess.CompletedProcess(command, 0, stdout=text)

        monkeypatch.setattr(subprocess, "run", run)

    yield answer
    hardware._query_nvidia_smi.cache_clear()


def wrong(own, text):
    """The problems of a file, each without the file's name in front."""
    file = own(text)
    with pytest.raises(BadPlan) as caught:
        catalogue.load_machines()
    assert all(problem.startswith(f"{file}: ") for problem in caught.value.problems)
    return [problem.removeprefix(f"{file}: ") for problem in caught.value.problems]


@pytest.mark.parametrize("name", list(SHIPPED["machines"]))
def test_a_shipped_machine_has_every_figure_the_estimator_needs(name):
    place = catalogue.load_machines()[name]
    assert place.id == name
    assert place.name
    assert 10 * GIB < place.usable_bytes < 250 * GIB
    assert 0 < place.tflops_32 <= place.tflops_16 < 3000
    assert 10 < place.bandwidth_gb_s < 10000
    assert place.spec_source.said
    assert (place.price_per_hour is None) == (place.price_source is None) == (place.billed is None)


def test_every_shipped_figure_tells_its_source_and_its_date():
    rows = [
        *SHIPPED["cards"].values(),
        *SHIPPED["hosted"].values(),
        *(row["price"] for row in SHIPPED["machines"].values() if "price" in row),
    ]
    for row in rows:
        assert row["source"]["said"]
        assert row["source"]["quality"] in ("cited", "recalled")
        assert date(2025, 1, 1) <= row["source"]["date"] <= TODAY


def test_every_shipped_card_is_offered_or_known_by_its_name():
    offered = {row["card"] for row in SHIPPED["machines"].values()}
    unused = {
        name for name, card in SHIPPED["cards"].items() if name not in offered and not card.get("seen_as")
    }
    assert all(
        SHIPPED["cards"][name].get("memory_gb") is None for name in unused
    )  # Apple's: a person names the memory


def test_what_is_said_of_a_machine_is_said_in_both_languages():
    notes = [place.note for place in catalogue.load_machines().values() if place.note] + [
        offer.note for offer in catalogue.hosted_offers() if offer.note
    ]
    assert notes
    assert all(note.render() and note.render("zh") for note in notes)


def test_a_t4_has_what_was_measured_and_other_cards_its_share():
    places = catalogue.load_machines()
    assert places["hf-t4-small"].usable_bytes == int(14.56 * GIB)
    assert "usable_bytes" not in places["hf-t4-small"].assumed
    assert not places["hf-t4-small"].bf16
    assert places["hf-l4x1"].usable_bytes == int(24 * 0.91 * GIB)
    assert places["hf-l4x1"].assumed == ("usable_bytes", "tflops_32")
    assert places["hf-l4x1"].tflops_32 == 121 / 8


def test_a_processor_is_as_fast_as_its_cores_together():
    place = catalogue.load_machines()["hf-cpu-upgrade"]
    assert place.kind == "processor"
    assert place.tflops_16 == place.tflops_32 == pytest.approx(8 * 0.07)
    assert place.bandwidth_gb_s == 15


def test_a_price_is_stale_after_half_a_year():
    source = catalogue.load_machines()["modal-t4"].price_source
    assert source.date == date(2026, 5, 7)
    assert not catalogue.is_stale(source, source.date + timedelta(days=180))
    assert catalogue.is_stale(source, source.date + timedelta(days=181))
    assert not catalogue.is_stale(None, TODAY)


def test_the_stale_prices_of_the_list_are_told_apart_by_their_date():
    old = {
        place.id
        for place in catalogue.load_machines().values()
        if catalogue.is_stale(place.price_source, TODAY)
    }
    assert {"modal-t4", "modal-h100", "suanjiayun-rtx-4090"} <= old
    assert not {"hf-t4-small", "runpod-h100-sxm", "rtx-4090"} & old


def test_a_machine_without_a_price_costs_nothing_known_and_a_free_one_nothing():
    places = catalogue.load_machines()
    assert catalogue.dollars_of_minutes(places["rtx-4090"], 60) is None
    assert catalogue.dollars_of_minutes(places["hf-zero"], 60) == 0


def test_money_is_counted_in_the_unit_that_is_billed():
    places = catalogue.load_machines()
    by_minute, by_second, by_hour = places["hf-t4-medium"], places["modal-t4"], places["lambda-a10"]
    assert catalogue.billed_hours(by_minute.billed, 10.2) == pytest.approx(11 / 60)
    assert catalogue.dollars_of_minutes(by_minute, 10.2) == pytest.approx(0.11)  # 11 minutes at a cent
    assert catalogue.billed_hours(by_second.billed, 61 / 60) == pytest.approx(61 / 3600)
    assert catalogue.billed_hours(by_second.billed, 0.001) == pytest.approx(1 / 3600)
    assert "billed" in by_hour.assumed
    assert catalogue.dollars_of_minutes(by_hour, 61) == pytest.approx(2 * 1.29)
    assert catalogue.billed_hours(places["rtx-4090"].billed, 90) == 1.5
    assert catalogue.billed_hours(by_minute.billed, 0) == 0


def test_yuan_are_not_called_dollars():
    place = catalogue.load_machines()["suanjiayun-rtx-4090"]
    assert place.currency == "CNY"
    assert catalogue.cost_of_minutes(place, 120) == pytest.approx(2.48)
    assert catalogue.dollars_of_minutes(place, 120) is None


def test_two_million_tokens_at_a_hosted_service():
    offers = {offer.id: offer for offer in catalogue.hosted_offers()}
    assert catalogue.hosted_dollar_range(offers["together-16b"], 2e6) == pytest.approx((0.96, 2.70))
    assert catalogue.hosted_dollar_range(offers["openai-gpt-4.1-mini"], 2e6) == (10, 10)


def test_a_row_of_ones_own_stands_in_for_the_shipped_one(own):
    file = own("machines:\n  hf-t4-small: {card: t4, price: {per_hour: 0.44, billed: minute}}\n")
    place = catalogue.load_machines()["hf-t4-small"]
    assert place.price_per_hour == 0.44
    assert place.name == "NVIDIA T4"  # the whole row is replaced
    assert place.price_source.said == str(file)
    assert place.price_source.date == date.fromtimestamp(file.stat().st_mtime)
    assert catalogue.load_machines()["hf-t4-medium"].price_per_hour == 0.60


def test_a_changed_file_is_read_again_and_a_removed_one_forgotten(own):
    text = "machines:\n  rtx-4090: {card: rtx-4090, price: {per_hour: %s}}\n"
    file = own(text % 1)
    assert catalogue.load_machines()["rtx-4090"].price_per_hour == 1
    own(text % 2)
    os.utime(file, ns=(0, file.stat().st_mtime_ns + 1_000_000_000))
    assert catalogue.load_machines()["rtx-4090"].price_per_hour == 2
    file.unlink()
    assert catalogue.load_machines()["rtx-4090"].price_per_hour is None


def test_a_card_and_a_service_of_ones_own(own):
    own(
        "cards:\n  gaudi: {name: Gaudi, kind: card, memory_gb: 100, usable_gb: 90, bf16: true, tflops_16: 400, bandwidth_gb_s: 2000}\n"
        "machines:\n  ours: {card: gaudi, start_minutes: 3}\n  my-mac: {card: m4-max, host: {memory_gb: 64, usable_gb: 48}}\n"
        "hosted:\n  ours: {name: Ours, low: 1, high: 2}\n"
    )
    places = catalogue.load_machines()
    assert places["ours"].usable_bytes == 90 * GIB
    assert places["ours"].start_minutes == 3
    assert places["my-mac"].usable_bytes == 48 * GIB
    assert catalogue.hosted_offers()[-1].id == "ours"


def test_everything_wrong_in_ones_own_file_is_told_with_file_and_key(own):
    found = wrong(
        own,
        "machines:\n  a: {card: t4, colour: blue}\n  b: {card: t4, price: {per_hour: -1}}\n  c: {card: t4, cards: 4}\n",
    )
    assert [problem.split(": ")[0] for problem in found] == [
        "machines.a.colour",
        "machines.b.price.per_hour",
        "machines.c.cards",
    ]


@pytest.mark.parametrize(
    ("text", "told"),
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
def test_a_wrong_file_says_what_is_wrong(own, text, told):
    found = wrong(own, text)
    assert len(found) == 1
    assert found[0].startswith(told)


def test_an_empty_file_changes_nothing(own):
    before = catalogue.load_machines()
    own("# nothing yet\n")
    assert catalogue.load_machines() == before


def test_this_machine_has_sane_figures_and_no_price():
    place = catalogue.local_machine()
    assert (place.id, place.kind) == ("here", "processor")
    assert 0 <= place.usable_bytes < psutil.virtual_memory().total
    assert place.tflops_32 == pytest.approx(0.07 * hardware.available_cores())
    assert set(place.assumed) == {"tflops_16", "tflops_32", "bandwidth_gb_s"}
    assert catalogue.dollars_of_minutes(place, 60) is None


def test_this_machine_takes_its_price_from_ones_own_file(own):
    own("machines: {here: {name: The office PC, price: {per_hour: 0.12}}}")
    place = catalogue.local_machine()
    assert place.name == "The office PC"
    assert catalogue.dollars_of_minutes(place, 30) == pytest.approx(0.12)
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


def memory_with(available):
    class Memory:
        total = 64_000_000_000

    Memory.available = available
    return Memory


def test_what_a_going_run_holds_is_there_for_the_next_one(make_plan, monkeypatch, tmp_path):
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


def test_a_process_counts_its_own_peak_and_not_that_of_whoever_started_it():
    ask = "from studio.estimate.machines import hardware; print(hardware.peak_resident_bytes())"
    hold = b"x" * 700_000_000
    found = subprocess.run([sys.executable, "-c", ask], capture_output=True, check=True, text=True)
    assert len(hold) > 3 * int(found.stdout)
    assert hardware.peak_resident_bytes() > len(hold)


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


def test_a_known_card_here_has_its_own_figures_and_its_free_memory(smi):
    smi("NVIDIA H200, 143771, 100000\nTesla T4, 15360, 15000\n")
    place = catalogue.local_machine()
    assert (place.kind, place.name, place.bf16) == ("card", "NVIDIA H200", True)
    assert place.usable_bytes == 100_000 * 2**20
    assert place.tflops_16 == 989
    assert place.assumed == ("tflops_32",)


def test_an_unknown_card_here_counts_as_the_slowest_one_and_says_so(smi):
    smi("NVIDIA GeForce RTX 9999, 32000, 31000\n")
    place = catalogue.local_machine()
    assert (place.tflops_16, place.bf16, place.watts) == (65, False, None)
    assert set(place.assumed) == {"tflops_16", "tflops_32", "bandwidth_gb_s", "bf16"}
    assert "NVIDIA GeForce RTX 9999" in place.spec_source.said
    assert place.spec_source.quality == "recalled"


@pytest.mark.parametrize("text", ["", "NVIDIA GB10, [N/A], [N/A]\n", "No devices were found\n"])
def test_an_answer_without_a_card_leaves_the_processor(smi, text):
    smi(text)
    assert catalogue.local_machine().kind == "processor"


def test_a_card_that_does_not_answer_or_is_hidden_leaves_the_processor(smi, monkeypatch):
    smi("", rc=9)
    assert catalogue.local_machine().kind == "processor"
    smi("Tesla T4, 15360, 15000\n")
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "-1")
    assert catalogue.local_machine().kind == "processor"
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "0")
    assert catalogue.local_machine().kind == "card"
