"""A bake-off at a cluster: all contenders train there at once, each to its end, and are compared."""

import contextlib
import threading
from types import SimpleNamespace

import pytest
from followed import wait_for
from form_fields import ENGLISH
from refusals import assert_message

from studio import launchers, processes, runs
from studio import plan as plans
from studio.cli.main import main
from studio.errors import NotPossible, StudioError
from studio.estimate import all_methods
from studio.estimate.types import Range
from studio.launchers import bake_off as elsewhere
from studio.launchers import consent, follower, record, resumption
from studio.training import before_start, launcher, pause
from studio.training.bake_off import conductor, process, summary
from studio.training.bake_off import record as records
from studio.ui.form import plan_form
from studio.ui.train import bake_off as panel
from studio.ui.train import consent_sheet


@pytest.fixture(autouse=True)
def followers(monkeypatch, untraced_start):
    """Runs are followed in threads of this process, by run."""
    threads = {}

    def start_follower(run, pause):
        threads[run.id] = threading.Thread(target=follow_quietly, args=(run,), daemon=True)
        threads[run.id].start()

    monkeypatch.setattr(conductor, "POLL_ELSEWHERE_SECONDS", 0.1)
    monkeypatch.setattr(launcher, "_start_worker", start_follower)
    monkeypatch.setattr(runs, "is_alive", lambda run: run.id in threads and threads[run.id].is_alive())
    return threads


def follow_quietly(run):
    with contextlib.suppress(StudioError):  # what went wrong stands in the run's status
        follower.follow(run.id)


@pytest.fixture
def name_plans(make_plan):
    """`name_plans(methods)`: contenders that would train at the cluster."""

    def name(*methods, where="cluster"):
        return [
            (method, make_plan(method, "classify").model_copy(update={"where": where})) for method in methods
        ]

    return name


def start(named_plans, cap_minutes=60.0):
    agreement = elsewhere.describe(named_plans, cap_minutes, launchers.find_machine("cluster"))
    return elsewhere.create(agreement)


def in_thread(bake_off):
    """Conduct a bake-off in a thread; its end is appended to the list that is handed out."""
    ended = []
    thread = threading.Thread(target=lambda: ended.append(conductor.conduct(bake_off)), daemon=True)
    thread.start()
    return thread, ended


def wait_until_all_train(bake_off):
    wait_for(lambda: all(runs.status(each.run).step == 5 for each in bake_off.contenders), seconds=60)


@pytest.mark.thorough
def test_all_train_at_once_to_their_end_and_are_compared(cluster, name_plans):
    cluster.behave("waits")
    bake_off = start(name_plans("lora", "frozen", "full"))
    thread, ended = in_thread(bake_off)
    wait_until_all_train(bake_off)
    states = [runs.status(each.run).state for each in bake_off.contenders]
    assert states == ["training"] * 3, "they train side by side"
    wait_for(lambda: {each.share for each in records.get(bake_off.id).contenders} == {1.0})
    for each in bake_off.contenders:
        (cluster.run_folder(each.run) / "home" / "runs" / each.run_id / "stop").touch()
    thread.join(60)
    (result,) = ended
    assert result.state == "time_is_up", "each was stopped on its way, as at the end of its share"
    assert {each.name: each.outcome for each in result.contenders} == {
        "lora": "winner",
        "frozen": "second",
        "full": "worse",
    }


@pytest.mark.exhaustive
def test_the_result_is_that_of_a_bake_off_here(cluster, name_plans):
    bake_off = conductor.conduct(start(name_plans("lora", "full")))
    assert bake_off.state == "done"
    result = summary.summarize(bake_off)
    assert [row.contender.outcome for row in result.rows] == ["winner", "worse"]
    assert [row.contender.share for row in result.rows] == [1.0, 1.0]
    assert result.recommend()[0].text == summary.ALONE.text
    for each in bake_off.contenders:
        assert runs.status(each.run).state == "done"
        assert runs.report(each.run)["trained_at"] == "cluster"
        assert each.minutes == pytest.approx(1 / 60), "as its report says"
        assert not cluster.run_folder(each.run).exists(), "what lay there is deleted"


@pytest.mark.exhaustive
def test_stop_reaches_all_and_it_goes_on_where_it_was(cluster, name_plans):
    cluster.behave("waits")
    bake_off = start(name_plans("lora", "frozen"))
    thread, ended = in_thread(bake_off)
    wait_until_all_train(bake_off)
    conductor.stop(bake_off)
    thread.join(60)
    assert ended[0].state == "stopped"
    assert [runs.status(each.run).state for each in bake_off.contenders] == ["stopped", "stopped"]
    cluster.behave("")
    assert conductor.conduct(records.get(bake_off.id)).state == "done"


def test_one_that_breaks_off_leaves_with_its_reason(cluster, name_plans):
    cluster.refused_path = "packages"
    bake_off = conductor.conduct(start(name_plans("lora", "full")))
    assert [each.outcome for each in bake_off.contenders] == ["broke_off", "broke_off"]
    assert "No space left" in bake_off.contenders[0].reason.render()


@pytest.mark.exhaustive
def test_a_contender_that_somebody_deleted_leaves(cluster, name_plans):
    bake_off = start(name_plans("lora", "frozen", "full"))
    runs.delete(bake_off.contenders[1].run)
    ended = conductor.conduct(bake_off)
    assert ended.contenders[1].reason == conductor.WAS_DELETED
    assert ended.state == "done"


def test_what_is_agreed_to_names_the_share_and_that_none_is_dropped(cluster, name_plans):
    agreement = elsewhere.describe(name_plans("lora", "full"), 60.0, launchers.find_machine("cluster"))
    first = agreement.lines[0]
    assert (first.text, first.values["share"]) == (elsewhere.TO_THEIR_END.text, 30.0)
    texts = [line.text for line in agreement.lines]
    assert texts.count(consent.CLUSTER_DATA.text) == 1, "what holds for all is said once"
    assert runs.all_runs() == []
    bake_off = elsewhere.create(agreement, keep=True)
    for each in bake_off.contenders:
        assert each.plan.training.max_minutes == 30.0
        assert pause.is_contender(each.run)
        assert (record.read(each.run).agreed, record.read(each.run).keep) == (True, True)


def test_the_most_that_all_can_cost_is_said(ada, name_plans):
    plans_there = name_plans("lora", "full", where="hf-t4-small")
    agreement = elsewhere.describe(plans_there, 60.0, launchers.find_machine("hf-t4-small"))
    (most,) = [line for line in agreement.lines if line.text == elsewhere.COST_OF_ALL.text]
    caps = [line.values["most"] for line in agreement.lines if line.text == consent.CAP.text]
    assert most.values["most"] == pytest.approx(2 * caps[0])


@pytest.mark.parametrize("fits", ["yes", "no"])
def test_what_cannot_end_in_its_time_or_memory_is_refused_before_the_start(
    cluster, name_plans, monkeypatch, fits
):
    def estimate(plan, machine):
        known = all_methods.estimate_chosen_method(plan, machine)
        changes = {"minutes": Range(40.0, 50.0, 60.0), "fits": fits, "why_not": before_start.LEAVE_OUT}
        return known.__class__(**{**vars(known), **changes})

    monkeypatch.setattr(all_methods, "estimate_before_start", estimate)
    with pytest.raises(NotPossible) as caught:
        elsewhere.describe(name_plans("lora", "full"), 60.0, launchers.find_machine("cluster"))
    assert_message(
        caught.value, before_start.NAMED_NO_ROOM if fits == "no" else elsewhere.TOO_LITTLE_TIME, name="lora"
    )


def test_contenders_of_several_machines_are_refused(cluster, name_plans):
    mixed = [*name_plans("lora"), *name_plans("full", where="local")]
    with pytest.raises(NotPossible) as caught:
        records.create(mixed, 10.0)
    assert_message(caught.value, records.SEVERAL_MACHINES)


@pytest.mark.exhaustive
def test_the_terminal_asks_first_and_then_prints_the_table(cluster, name_plans, tmp_path, capsys):
    ((_, plan),) = name_plans("lora", where="local")
    path = tmp_path / "plan.yaml"
    path.write_text(plans.dump(plan), encoding="utf-8")
    command = ["bake-off", str(path), "--try", "lora", "--try", "full", "--on", "cluster"]
    assert main(command) == 1
    assert runs.all_runs() == []
    assert "none is dropped on the way" in capsys.readouterr().err
    assert main([*command, "--yes"]) == 0
    table = capsys.readouterr().out
    assert "shown to be worse" in table
    assert "Use LoRA" in table


def test_the_page_asks_first_and_then_shows_the_same_table(cluster, name_plans, monkeypatch):
    fill_form(name_plans, monkeypatch)
    started = []
    monkeypatch.setattr(process, "start", started.append)
    notice, *_ = panel.start(ENGLISH, "", [], ["lora", "full"], 60)
    assert notice["text"] == panel.READ_FIRST.text
    assert (started, runs.all_runs()) == ([], [])
    shown, lines = consent_sheet.show(notice)
    assert shown["visible"]
    assert "none is dropped on the way" in lines
    panel.start(ENGLISH, "", [], ["lora", "full"], 60, agreed_lines=lines)
    (bake_off,) = started
    conductor.conduct(bake_off)
    notice, table, *_ = panel.look(bake_off.id, [], ENGLISH)
    assert notice["text"].startswith("Use LoRA")
    assert [row["cells"][0] for row in table["rows"]] == ["winner", "shown to be worse"]


def fill_form(name_plans, monkeypatch):
    """The form names the cluster; returns it, to name another machine."""
    form = SimpleNamespace(machine="cluster")
    monkeypatch.setattr(panel, "read_form", lambda fields: form)

    def build_plan(form):
        where = plan_form.find_where(form.machine)
        ((_, plan),) = name_plans("lora", where=where)
        return plan

    monkeypatch.setattr(plan_form, "build_plan", build_plan)
    return form


@pytest.mark.parametrize(
    ("chosen", "minutes", "machine"),
    [
        (["lora", "full", "frozen"], 60, "cluster"),
        (["lora", "full"], 240, "cluster"),
        (["lora", "full"], 60, "here"),
    ],
)
def test_what_was_changed_under_the_sheet_is_shown_before_it_starts(
    cluster, name_plans, monkeypatch, chosen, minutes, machine
):
    form = fill_form(name_plans, monkeypatch)
    started = []
    monkeypatch.setattr(process, "start", started.append)
    notice, *_ = panel.start(ENGLISH, "", [], ["lora", "full"], 60)
    _, lines = consent_sheet.show(notice)
    form.machine = machine
    notice, *_ = panel.start(ENGLISH, "", [], chosen, minutes, agreed_lines=lines)
    assert notice["text"] == consent_sheet.CHANGED.text
    assert (started, runs.all_runs()) == ([], [])
    shown, new_lines = consent_sheet.show(notice)
    assert shown["visible"] == (machine == "cluster"), "what would train here has nothing to agree to"
    if shown["visible"]:
        panel.start(ENGLISH, "", [], chosen, minutes, agreed_lines=new_lines)
        assert [len(bake_off.contenders) for bake_off in started] == [len(chosen)]


@pytest.mark.exhaustive
def test_one_that_goes_on_is_agreed_to_anew_and_never_where_the_form_does_not_say(
    cluster, name_plans, monkeypatch
):
    form = fill_form(name_plans, monkeypatch)
    started = []
    monkeypatch.setattr(process, "start", started.append)
    stopped = start(name_plans("lora", "frozen"))
    for each in stopped.contenders:
        record.read(each.run).write(each.run, agreed=False)
        runs.set_status(each.run, "stopped", "train")
    notice, *_ = panel.start(ENGLISH, stopped.id, [], ["lora", "full"], 60)
    assert notice["text"] == panel.READ_FIRST.text
    assert started == []
    _, lines = consent_sheet.show(notice)
    assert resumption.BEGINS_ANEW.text in lines
    panel.start(ENGLISH, stopped.id, [], ["lora", "full"], 60, agreed_lines=lines)
    assert [bake_off.id for bake_off in started] == [stopped.id]
    assert conductor.conduct(started.pop()).state == "done"
    again = start(name_plans("lora", "frozen"))
    form.machine = "here"
    panel.start(ENGLISH, again.id, [], ["lora", "full"], 60)
    (here,) = started
    assert here.is_local
    assert [each.name for each in here.contenders] == ["LoRA", "Full fine-tuning"]


@pytest.mark.exhaustive
def test_the_terminal_goes_on_only_once_agreed(cluster, name_plans, capsys):
    stopped = start(name_plans("lora", "full"))
    for each in stopped.contenders:
        runs.set_status(each.run, "stopped", "train")
    assert main(["bake-off", "--resume", stopped.id]) == 1
    assert resumption.BEGINS_ANEW.text in capsys.readouterr().err
    assert not cluster.jobs
    assert main(["bake-off", "--resume", stopped.id, "--yes"]) == 0


def test_a_bake_off_goes_on_at_no_other_machine_than_its_own(cluster, name_plans, capsys):
    stopped = start(name_plans("lora", "full"))
    assert main(["bake-off", "--resume", stopped.id, "--on", "local", "--yes"]) == 2
    assert "goes on where it was, at cluster" in capsys.readouterr().err
    assert not cluster.jobs


def test_its_followers_get_what_reaches_boxes_and_clusters(cluster, name_plans, monkeypatch):
    granted = []
    monkeypatch.setattr(processes, "start_detached", lambda *_, options, **__: granted.append(options) or 1)
    monkeypatch.setattr(runs, "claim", lambda *_: None)
    process.start(start(name_plans("lora", "full")))
    process.start(records.create(name_plans("lora", "full", where="local"), 60.0))
    monkeypatch.setenv("SSH_AUTH_SOCK", "/agent")
    names = ("SSH_AUTH_SOCK", "RAY_AUTH_TOKEN")
    elsewhere_options, local_options = granted
    assert set(names) <= set(processes.child_environment(elsewhere_options))
    assert not set(names) & set(processes.child_environment(local_options)), "who trains here needs none"


def test_where_others_reach_the_page_no_bake_off_leaves_it(cluster, name_plans, monkeypatch):
    ((_, plan),) = name_plans("lora")
    fill_form(name_plans, monkeypatch)
    monkeypatch.setenv("STUDIO_OPEN", "1")
    monkeypatch.setattr(plan_form, "build_plan", lambda form: plan)
    notice, *_ = panel.start(ENGLISH, "", [], ["lora", "full"], 60)
    assert notice["text"] == consent_sheet.NOT_FOR_VISITORS.text
    assert runs.all_runs() == []
