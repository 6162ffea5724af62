"""How the Data tab describes the split of a data set."""

import pytest
from data_tab_steps import ROLES
from form_fields import ENGLISH

from studio.data import split
from studio.ui.data import details as dataset_details
from studio.ui.data import messages
from studio.ui.form import packing, plan_form


def describe_split(source, test_share=0.1):
    fields = {"validation_share": 0.2, "test_share": test_share, "seed": 7}
    columns = packing.pack_mapping(ROLES)
    return dataset_details.describe_split(source, "chat", columns, "", request=ENGLISH, **fields)["text"]


@pytest.mark.parametrize(
    ("test_share", "n_train", "test_part"),
    [
        (0.1, 28, messages.SPLIT_TEST.format(test=4)),
        (0, 32, messages.SPLIT_NO_TEST.format(check=8)),
    ],
)
def test_the_split_is_described_with_its_seed_and_what_the_final_test_is_made_with(
    dataset, test_share, n_train, test_part
):
    assert describe_split(dataset.source, test_share) == messages.SPLIT_SUMMARY.render(
        count=40, train=n_train, check=8, test=test_part, seed=7
    )


@pytest.mark.usefixtures("jobs_in_child_processes")
def test_many_examples_are_compared_in_a_child_process_and_divided_all_the_same(dataset, monkeypatch):
    inline = describe_split(dataset.source)
    plan_form._load_grouped_examples.cache_clear()
    monkeypatch.setattr(plan_form, "MAX_INLINE_GROUPING", 1)
    monkeypatch.setattr(split, "duplicate_groups", lambda _: pytest.fail("not in the page's process"))
    assert describe_split(dataset.source) == inline
    plan_form._load_grouped_examples.cache_clear()
