#!/bin/sh
# Make the virtual environment: only packages that constraints.txt pins, each checked by its hash.
# Usage: python.sh VENV; PYTHON names the interpreter, by default the first that fits.
set -eu
venv=$1

fits() { "$1" -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 12))' >/dev/null 2>&1; }

for python in ${PYTHON:-python3.11 python3.12 python3}; do
    if fits "$python"; then
        break
    fi
    python=
done
if [ -z "$python" ]; then
    echo "gleaner needs Python 3.11 or 3.12 (Bytewax has no wheels beyond); say make PYTHON=/path/to/python3.12" >&2
    exit 1
fi
if ! "$python" -m venv "$venv"; then
    echo "gleaner: $python can't make a virtual environment; install its venv module (apt-get install python3-venv)" >&2
    exit 1
fi
echo "installing the packages into $venv …" >&2
"$venv/bin/pip" install --quiet --disable-pip-version-check --require-hashes -r constraints.txt
PYTHONWARNINGS=ignore "$venv/bin/pip" install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e .
