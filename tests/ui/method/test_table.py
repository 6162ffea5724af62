"""The comparison table says every figure with its unit and range, and no figure that it does not have."""

import dataclasses
import itertools
import json

import pytest

from studio import presets
from studio.estimate.types import TWO_CLASSES, Estimate, Range
from studio.i18n import Message
from studio.methods.compatibility import Incompatibility
from studio.ui.method import estimates, table_messages
from studio.ui.method import table as comparison_table
from studio.ui.method.table import Offer, TableState

COMPLETE = Estimate(
    "lora",
    trainable=4_884_480,
    total=139_399_488,
    memory_gb=Range(5.0, 6.5, 8.0),
    parts={"activations": 4.0, "model": 2.0, "runtime": 0.5},
    minutes=Range(4.0, 6.0, 9.0),
    stretches={"start": 0.5, "train": 5.0, "check": 0.5},
    money=Range(0.08, 0.12, 0.18),
    watt_hours=Range(3.0, 6.0, 9.0),
    disk_mb=19.5,
    fits="yes",
    room_gb=16.0,
    level="traced",
)
TOO_LARGE = Estimate(
    "qlora",
    trainable=1,
    total=10,
    memory_gb=Range(20, 22, 26),
    parts={"scores": 22.0},
    minutes=Range(1, 2, 3),
    disk_mb=0.04,
    fits="no",
    room_gb=16.0,
    why_not=Message("Too much.", translations={"zh": "太多。"}),
)
INCOMPLETE = Estimate("full", missing=(Message("the model's shape", translations={"zh": "模型的结构"}),))
REFUSED = Incompatibility(
    reason=Message("It has no answers to learn.", translations={"zh": "没有可学的回答。"}),
    alternative=Message("UPFT does.", translations={"zh": "UPFT 可以。"}),
)
OFFER = Offer(
    Message("2 examples per step", translations={"zh": "每步 2 个样本"}),
    Message("8.0 GB · 2 min", translations={"zh": "8.0 GB · 2 分钟"}),
)


STATE = TableState(
    estimates={"lora": COMPLETE, "qlora": TOO_LARGE, "full": INCOMPLETE},
    refusals={"rlhf": REFUSED},
    offers={"qlora": [OFFER]},
    chosen="lora",
    machine_name="Card",
)


def render(lang="en", **changes):
    """The table's value, and its rows by method."""
    value = comparison_table.render_table(dataclasses.replace(STATE, **changes), lang)
    return value, {row["id"]: row for row in value["rows"]}


def test_every_method_has_a_row_in_the_order_of_the_cards():
    value, rows = render()
    assert list(rows) == list(presets.methods())
    assert json.loads(json.dumps(value)) == value, "it goes to the browser as JSON"


def test_a_known_row_says_every_figure_with_its_range_and_the_part_that_causes_the_memory():
    _, rows = render()
    cells = rows["lora"]["cells"]
    assert cells["updated"]["big"] == "3.50%"
    assert cells["updated"]["small"] == "4,884,480 of 139 M"
    assert (cells["memory"]["big"], cells["memory"]["small"], cells["memory"]["state"]) == (
        "6.5 GB",
        "5.0–8.0 GB",
        "fits",
    )
    assert (cells["time"]["big"], cells["time"]["small"]) == ("6 min", "4–9 min")
    assert cells["money"]["big"] == "$0.08–0.18"
    assert cells["disk"]["big"] == "20 MB"
    assert rows["lora"]["kind"] == "chosen"


def test_bars_are_shares_of_the_room_or_of_the_largest():
    _, rows = render()
    bar = rows["lora"]["cells"]["memory"]["bar"]
    assert bar["mark"] / bar["fill"] == pytest.approx(16.0 / 6.5, rel=0.01), "where the room ends"
    assert bar["high"] / bar["fill"] == pytest.approx(8.0 / 6.5, rel=0.01)
    assert rows["lora"]["cells"]["time"]["bar"]["high"] == 100
    assert rows["lora"]["cells"]["disk"]["bar"]["fill"] == 100, "the largest of all"
    assert rows["lora"]["cells"]["money"]["bar"]["fill"] == pytest.approx(100 * 0.12 / 0.18, abs=0.01)
    for row, cell in itertools.product(rows.values(), ("updated", "memory", "time", "money", "disk")):
        if drawn := row["cells"][cell].get("bar"):
            assert 0 <= drawn["fill"] <= 100


def test_a_row_that_does_not_fit_says_by_how_much_and_what_would_help():
    _, rows = render()
    assert rows["qlora"]["lacks"] == table_messages.MEMORY_SHORTFALL.render(more="6.0 GB", room="16.0 GB")
    assert rows["qlora"]["cells"]["memory"]["state"] == "does not fit"
    assert rows["qlora"]["offers"] == [{"label": "2 examples per step", "figures": "8.0 GB · 2 min"}]
    assert rows["lora"]["offers"] == []


def test_a_row_that_lacks_no_memory_says_what_it_lacks():
    why = Message("It trains on one GPU alone.")
    alone = dataclasses.replace(COMPLETE, method="lora", fits="no", why_not=why)
    _, rows = render(estimates={**STATE.estimates, "lora": alone})
    assert rows["lora"]["lacks"] == why.render()


@pytest.mark.parametrize("lang", ["en", "zh"])
def test_what_nobody_knows_is_a_dash_with_its_reason_and_never_a_number(lang):
    _, rows = render(lang)
    for name in ("memory", "time", "disk"):
        cell = rows["full"]["cells"][name]
        assert cell["big"] == "–"
        assert cell["why"] == INCOMPLETE.missing[0].render(lang)
    assert rows["full"]["cells"]["updated"] == {"plain": presets.methods()["full"].updated.render(lang)}
    assert set(rows["full"]["raw"].values()) == {None}
    assert [cell for cell in rows["full"]["csv"][1:] if cell is not None] == []
    refused = rows["rlhf"]
    assert refused["kind"] == "closed"
    assert refused["open"] is False
    assert REFUSED.reason.render(lang) in refused["refused"]
    assert REFUSED.alternative.render(lang) in refused["refused"]
    assert all(cell.get("big", "–") == "–" for cell in refused["cells"].values())


def test_what_is_free_says_so_and_where_nothing_is_known_of_the_cost_there_is_no_column():
    free, unpriced = (dataclasses.replace(COMPLETE, money=money) for money in (Range(0, 0, 0), None))
    assert render(estimates={"lora": free})[1]["lora"]["cells"]["money"]["big"] == "free"
    assert "money" in {column["id"] for column in render()[0]["columns"]}
    assert "money" not in {column["id"] for column in render(estimates={"lora": unpriced})[0]["columns"]}


def test_the_cost_of_electricity_alone_names_the_energy_it_is_for():
    own = dataclasses.replace(COMPLETE, money=None)
    # 6 Wh at 0.50 a kWh are 0.003
    shown = estimates.add_electricity({"lora": own}, 0.5)
    assert shown["lora"].money.likely == pytest.approx(0.003)
    cell = render(estimates=shown, is_electricity=True)[1]["lora"]["cells"]["money"]
    assert cell["small"] == table_messages.ELECTRICITY.render(energy="3.0–9.0 Wh")
    assert estimates.add_electricity({"lora": own}, None)["lora"].money is None
    assert estimates.add_electricity({"lora": COMPLETE}, 0.5)["lora"].money == COMPLETE.money


@pytest.mark.parametrize("sent", [None, 0, -1, "0.3", True, [1], 1e9])
def test_a_price_of_electricity_that_is_none_counts_as_none(sent):
    assert estimates.read_electricity_price(sent) is None


def test_what_the_data_rules_out_is_one_line_with_a_shared_reason_once():
    value, rows = render(refusals={"rlhf": REFUSED, "upft": REFUSED})
    names = [presets.methods()[name].name for name in ("rlhf", "upft")]
    text = table_messages.REFUSED_METHODS.render(count=2, names=names)
    assert value["refused"]["text"] == f"{text} {REFUSED.reason.render()}"
    other = Incompatibility(reason=Message("Another."), alternative=REFUSED.alternative)
    value, _ = render(refusals={"rlhf": REFUSED, "upft": other})
    assert value["refused"]["text"] == text, "each says its own"
    assert render(refusals={})[0]["refused"] == {}
    assert rows["rlhf"]["kind"] == "closed"


def test_a_copied_row_has_a_cell_for_every_head_and_only_raw_figures():
    value, rows = render()
    for row in rows.values():
        assert len(row["csv"]) == len(value["csv"])
    line = dict(zip(value["csv"], rows["lora"]["csv"], strict=True))
    assert line["Parameters trained"] == 4_884_480
    assert line["Peak memory, likely (GB)"] == 6.5
    assert line["Time, high (min)"] == 9.0
    assert line["Energy, likely (Wh)"] == 6.0
    assert line["Currency"] == "USD"


def test_details_name_the_parts_and_where_the_figures_come_from():
    _, rows = render()
    more = {entry["head"]: entry for entry in rows["lora"]["more"]}
    assert more["What fills the memory"]["pairs"][0] == [
        "intermediate results kept for learning (activations)",
        "4.0 GB",
    ]
    assert more["Where the time goes"]["pairs"][0] == ["training", "5 min"]
    assert "traced" in more["Where these figures come from"]["text"]
    assert more["Data needed"]["text"] == presets.methods()["lora"].needs.render("en")


def test_how_far_it_could_go_is_said_of_the_chosen_method_alone():
    _, rows = render(limits_message=Message("Up to 48.", translations={"zh": "最多 48。"}))
    assert {"head": "Limits on this machine", "text": "Up to 48."} in rows["lora"]["more"]
    assert "Limits on this machine" not in {entry["head"] for entry in rows["qlora"]["more"]}


def test_every_word_of_the_table_is_there_in_chinese():
    english, _ = render("en")
    chinese, _ = render("zh")
    assert english["words"].keys() == chinese["words"].keys()
    same = [name for name, text in english["words"].items() if chinese["words"][name] == text]
    assert same == []
    assert [column["head"] for column in english["columns"]] != [
        column["head"] for column in chinese["columns"]
    ]


def test_a_row_says_that_there_are_fewer_examples_than_its_method_needs():
    _, rows = render(task="chat", example_count=119)
    text = table_messages.TOO_FEW_EXAMPLES.render("en", least="1,000", have="119")
    assert rows["full"]["scarce"] == text
    assert rows["lora"]["scarce"] == "", "50 are enough"
    assert rows["rlhf"]["scarce"] == "", "nothing is needed by a method that cannot be used"
    assert render(task="chat", example_count=1000)[1]["full"]["scarce"] == ""


def test_without_a_task_nobody_knows_how_many_examples_are_needed():
    assert {row["scarce"] for row in render()[1].values()} == {""}


def test_what_was_counted_with_invented_classes_does_not_call_itself_exact():
    _, rows = render(estimates={"lora": dataclasses.replace(COMPLETE, missing=(TWO_CLASSES,))})
    assert rows["lora"]["exact"] == "4,884,480 of 139,399,488, with two classes"
    assert render()[1]["lora"]["exact"] == "4,884,480 of 139,399,488, exactly"
