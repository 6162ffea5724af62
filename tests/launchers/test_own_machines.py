"""Machines are added on the page after they were tried; a typed token lies in one file and nowhere else."""

import stat
import sys
from types import SimpleNamespace

import pytest
from fake_ray import TOKEN as CLUSTER_TOKEN
from followed import steps
from form_fields import ENGLISH
from refusals import assert_message
from stand_in import TOKEN as HUB_TOKEN
from stand_in_box import write_program

from studio import credentials, launchers, runs
from studio.errors import NotPossible
from studio.estimate.machines import catalogue, own
from studio.launchers import connection, consent, follower, ray_jobs
from studio.launchers.record import Record
from studio.ui.method import machine as machine_panel
from studio.ui.method import own_machines as panel

NVIDIA_SMI = """#!/bin/sh
echo 'Tesla T4'
echo 'Tesla T4'
"""


def fields(kind, **typed):
    values = {"name": "Ada's", "ssh": "ada@box", "ray": "", "python": sys.executable, "hardware": ""}
    values |= {"cards": 1, "storage": "", "token": "", **typed}
    return kind, *(values[name] for name in panel.Form._fields[1:])


def added(kind, **typed):
    """Add a machine as a person does; returns its id."""
    notice, button = panel.test(ENGLISH, *fields(kind, **typed))
    assert (notice["kind"], button["visible"]) == ("good", True), notice
    notice, _, token, _, chosen = panel.add(ENGLISH, *fields(kind, **typed))
    assert (notice["kind"], token) == ("good", ""), notice
    return chosen.get("value")


def act(action, machine_id, chosen=""):
    return panel.act(chosen, None, SimpleNamespace(action=action, id=machine_id), ENGLISH)


def test_a_box_is_tried_added_removed_and_brought_back(box, studio_home):
    (studio_home / "machines.yaml").unlink()
    notice, _ = panel.test(ENGLISH, *fields("ssh"))
    assert notice["text"] == connection.BOX_ANSWERS.render("en", machine="Ada's")
    assert connection.NO_GPU.render() in notice["more"]
    assert catalogue.read_added() == {}, "a test adds nothing"
    machine_id = added("ssh")
    machine = launchers.find_machine(machine_id)
    assert (machine_id, machine.name, machine.ssh, machine.is_gpu) == ("ada-s", "Ada's", "ada@box", False)
    assert machine_id in [value for _, value in machine_panel.machine_choices("en")]
    said, listed, chosen, removed, undo_button = act("remove", machine_id, chosen=machine_id)
    assert said["text"] == panel.REMOVED.render("en", name="Ada's")
    assert (listed["rows"], chosen["value"], undo_button["visible"]) == ([], "here", True)
    assert machine_id not in catalogue.load_machines()
    panel.undo(removed, ENGLISH)
    assert launchers.find_machine(machine_id) == machine


def test_the_hardware_of_a_box_is_found(box, studio_home):
    write_program(box.folder / "bin" / "nvidia-smi", NVIDIA_SMI)
    notice, _ = panel.test(ENGLISH, *fields("ssh"))
    assert connection.BOX_GPUS.render("en", count=2, gpu="Tesla T4") in notice["more"]
    assert connection.ONE_GPU.render() in notice["more"]
    machine = launchers.find_machine(added("ssh"))
    assert (machine.card, machine.cards) == ("t4", 1)


def test_hardware_that_the_list_lacks_has_to_be_chosen(box):
    write_program(box.folder / "bin" / "nvidia-smi", NVIDIA_SMI.replace("Tesla T4", "Voodoo 2"))
    notice, *_ = panel.add(ENGLISH, *fields("ssh"))
    assert notice["text"] == panel.NEEDS_HARDWARE.render()
    machine = launchers.find_machine(added("ssh", hardware="rtx-3060"))
    assert machine.card == "rtx-3060"


def test_two_of_a_name_are_told_apart_and_none_hides_another(box):
    first, second = added("ssh", name="box"), added("ssh", name="box")
    assert (first, second) == ("box-2", "box-3"), "“box” stands in machines.yaml"


def test_a_cluster_says_what_it_has(cluster, studio_home):
    notice, _ = panel.test(ENGLISH, *fields("ray", ray=cluster.address))
    assert notice["text"] == connection.CLUSTER_ANSWERS.render("en", version="2.60.0")
    assert "Nodes: 2. Cores: 12. GPUs: 1 (T4)." in notice["more"]
    machine = launchers.find_machine(added("ray", ray=cluster.address, cards=1))
    assert (machine.card, machine.ray) == ("t4", cluster.address)
    cluster.nodes = [{"CPU": 2.0, "memory": 4e9}]
    machine = launchers.find_machine(added("ray", ray=cluster.address, name="small"))
    assert not machine.is_gpu


def test_a_typed_token_opens_the_cluster_and_lies_in_one_file_alone(
    cluster, studio_home, monkeypatch, tmp_path, make_plan, capfd
):
    monkeypatch.delenv("RAY_AUTH_TOKEN")
    monkeypatch.setenv("RAY_AUTH_TOKEN_PATH", str(tmp_path / "none"))
    notice, _ = panel.test(ENGLISH, *fields("ray", ray=cluster.address))
    assert notice["text"] == ray_jobs.TOKEN_MISSING.render("en", machine="Ada's")
    machine_id = added("ray", ray=cluster.address, token=CLUSTER_TOKEN)
    run = runs.create(make_plan("lora", "chat").model_copy(update={"where": machine_id}))
    Record(agreed=True).write(run)
    follower.follow(run.id)
    assert (runs.status(run).state, steps(run)) == ("done", [1, 2, 3, 4, 5])
    path = studio_home / credentials.CREDENTIALS_FILE
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert_only_in(path, CLUSTER_TOKEN, studio_home, cluster.home, cluster.logs)
    assert CLUSTER_TOKEN not in "".join(capfd.readouterr())
    assert CLUSTER_TOKEN not in str(panel.show(ENGLISH))
    act("remove", machine_id)
    assert not path.exists(), "it goes with its machine"


def assert_only_in(path, token, *folders):
    holders = [
        file
        for folder in folders
        for file in folder.rglob("*")
        if file.is_file() and token.encode() in file.read_bytes()
    ]
    assert holders == [path]


def test_a_typed_token_of_the_hub_rents_a_machine_and_is_forgotten_again(
    hub, no_login, studio_home, make_plan
):
    machine = launchers.find_machine("hf-t4-small")
    with pytest.raises(NotPossible) as caught:
        consent.describe(make_plan("lora", "chat"), machine, None)
    assert_message(caught.value, consent.JOB_NEEDS_TOKEN)
    notice, _ = panel.test(ENGLISH, *fields("hub", token="hf_of_nobody"))
    assert notice["kind"] == "bad"
    added("hub", token=HUB_TOKEN)
    assert credentials.hub_token() == HUB_TOKEN
    assert consent.describe(make_plan("lora", "chat"), machine, None).max_minutes == 80
    assert_only_in(studio_home / credentials.CREDENTIALS_FILE, HUB_TOKEN, studio_home)
    _, listed, *_ = act("forget", credentials.HUB)
    assert listed["rows"] == []
    assert credentials.hub_token() == ""


@pytest.mark.parametrize(
    ("kind", "typed", "message"),
    [
        ("ssh", {"name": ""}, panel.NEEDS_NAME),
        ("ssh", {"ssh": ""}, panel.NEEDS_ADDRESS),
        ("ssh", {"ssh": "-oProxyCommand=true"}, own.WRONG_FIELD),
        ("ssh", {"python": "python3; rm -rf ~"}, own.WRONG_FIELD),
        ("ray", {"ray": "file:///etc/passwd"}, own.WRONG_FIELD),
        ("ray", {"ray": "http://localhost:1", "cards": 99}, own.WRONG_FIELD),
        ("ssh", {"hardware": "nonsense"}, own.WRONG_FIELD),
        ("hub", {}, panel.NEEDS_TOKEN),
        ("nonsense", {"ssh": ""}, panel.NEEDS_ADDRESS),
    ],
)
def test_what_was_typed_wrongly_is_a_sentence(box, kind, typed, message):
    with pytest.raises(NotPossible) as caught:
        panel._look(panel._read(*fields(kind, **typed)))
    assert caught.value.message.text == message.text
    assert catalogue.read_added() == {}


def test_a_box_that_does_not_answer_is_not_added(box):
    box.refuse("ssh: connect to host box port 22: Connection refused")
    notice, *_ = panel.add(ENGLISH, *fields("ssh"))
    assert notice["kind"] == "bad"
    assert "Connection refused" in notice["text"]
    assert catalogue.read_added() == {}


def test_where_others_reach_the_page_nothing_is_offered_taken_or_read(box, studio_home, monkeypatch):
    credentials.keep(credentials.HUB, HUB_TOKEN)
    monkeypatch.setenv("STUDIO_OPEN", "1")
    assert panel.build(None) is None, "no part of it is laid out"
    for handler in (panel.test, panel.add):
        notice, *_ = handler(ENGLISH, *fields("ssh"))
        assert notice["text"] == panel.NOT_HERE.render()
    assert act("forget", credentials.HUB)[0]["text"] == panel.NOT_HERE.render()
    assert panel.undo({"id": "box", "entry": {}}, ENGLISH)[0]["text"] == panel.NOT_HERE.render()
    assert credentials.read(credentials.HUB) == "", "a stranger acts in nobody's name"
    credentials.keep("other", "token")
    assert "other" not in (studio_home / credentials.CREDENTIALS_FILE).read_text(encoding="utf-8")
