"""The upload of the Share tab, called as plain functions against the stand-in of the hub."""

import pytest
from form_fields import ENGLISH
from stand_in import TOKEN

from studio.hub import account, publish, push, refusals
from studio.ui import access
from studio.ui.share import hub_panel


def last(events):
    return list(events)[-1]


def test_first_it_says_what_leaves_and_then_it_leaves(finished, hub):
    run = finished()
    forms = hub_panel.list_forms(run.id, ENGLISH)
    kinds = publish.available_kinds(run)
    assert [value for _, value in forms["choices"]] == [*push.available_forms(run), *kinds]
    fields = (run.id, push.DATA_FORM, "tone", TOKEN, True, ENGLISH)
    notice, button = last(hub_panel.check(*fields))
    assert button["visible"]
    assert f"{hub.address}/datasets/ada/tone" in notice["text"]
    assert notice["warning"] == push.DATA_LEAVES.render()
    assert hub.repos == {}
    notice, button = last(hub_panel.upload(*fields))
    assert (notice["kind"], notice["link"]) == ("good", f"{hub.address}/datasets/ada/tone")
    assert not button["visible"]
    assert hub.repos["ada/tone"].private
    assert TOKEN not in str(notice)


@pytest.mark.parametrize(
    "values", [(None, None, None, None, None), ("x", ["a"], {}, 7, "no"), ("", "", "", "", "")]
)
def test_whatever_the_fields_hold_a_sentence_comes_back(values, hub):
    for event in (hub_panel.check, hub_panel.upload):
        notice, button = last(event(*values, ENGLISH))
        assert notice["kind"] == "bad"
        assert not button["visible"]
    assert hub.repos == {}


def test_where_others_reach_the_page_the_owner_s_login_is_not_used(finished, hub, monkeypatch):
    run = finished()
    monkeypatch.setenv("HF_TOKEN", TOKEN)
    fields = (run.id, push.DATA_FORM, "tone", "", True, ENGLISH)
    assert last(hub_panel.check(*fields))[1]["visible"]
    hub.sent_tokens.clear()
    monkeypatch.setenv(access.OPEN_TO_OTHERS_ENV, "1")
    notice, button = last(hub_panel.check(*fields))
    assert notice["text"] == account.NO_TOKEN.render()
    assert not button["visible"]
    assert hub.sent_tokens == []


def test_a_wrong_token_is_told(finished, hub):
    notice, _ = last(hub_panel.check(finished().id, push.DATA_FORM, "tone", "hf_wrong", True, ENGLISH))
    assert notice["text"] == refusals.WRONG_TOKEN.render()
