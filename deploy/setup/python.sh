#!/bin/sh
# Make the virtual environment: PYTHON VENV. Only packages that constraints.txt pins, each checked by its hash.
set -eu
python=$1
venv=$2

"$python" - <<'CHECK' || exit 1
import sys
if not (3, 11) <= sys.version_info[:2] <= (3, 12):
    sys.exit("gleaner needs Python 3.11 or 3.12 (Bytewax has no wheels beyond); say make PYTHON=python3.12")
CHECK

if ! "$python" -m venv "$venv" 2>/dev/null; then
    echo "gleaner: $python can't make a virtual environment; install its venv module (apt-get install python3-venv)" >&2
    exit 1
fi
echo "installing the packages into $venv …" >&2
"$venv/bin/pip" install --quiet --disable-pip-version-check --require-hashes -r constraints.txt
"$venv/bin/pip" install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e .
