# `just` lists these; each is one command that also runs by hand.
default:
    @just --list

# install everything a developer needs
install:
    pip install -e ".[test]"

# the fast tests
fast:
    pytest -n auto -m "not browser and not embedded and not thorough"

# everything, as CI runs it
all:
    pytest -n auto --dist loadfile --no-loadscope-reorder -m "not exhaustive"

# the journeys in a real browser
browser:
    pytest -n auto -m browser

# style, types and the generated tree
check:
    ruff check .
    ruff format --check .
    mypy --strict studio
    python docs/make_tree.py --check
