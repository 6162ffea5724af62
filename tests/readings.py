"""What a file is taken for: the task, one of its examples, and whether that is called sure."""

import json

from studio.data import examples
from studio.data.readers.read import read_table
from studio.data.schema import infer_roles

LETTERS = {"user": "u", "assistant": "a", "system": "s"}


def comparable(example):
    """An example with its conversation as (role letter, text) pairs, without its group."""
    if "messages" not in example:
        return {role: text for role, text in example.items() if role != "group"}
    turns = [(LETTERS[turn["role"]], turn["content"]) for turn in json.loads(example["messages"])]
    others = {role: text for role, text in example.items() if role not in ("group", "messages")}
    return {**others, "messages": turns}


def is_right(path, readings):
    """Whether a file is read in one of these ways (task, example, index), the guess, and all examples."""
    table = read_table(path)
    guess = infer_roles.guess_roles(table)
    built, _ = examples.build_examples(table, guess.task, guess.columns)
    for task, example, index in readings:
        if guess.task == task and comparable(built[index]) == example:
            return True, guess, built
    return False, guess, built
