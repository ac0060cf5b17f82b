"""An environment for each peer, since no two of them agree on the versions of what they need.

They are made under `.tools/peers`, which is not in the repository, from the requirements beside
this file, when they are first asked for: `python -m benchmarks.drift.peers.venvs` makes all of them.
"""

import subprocess
import sys
from pathlib import Path
from typing import Final

HERE: Final = Path(__file__).parent
ROOT: Final = HERE.parents[2]
FOLDER: Final = ROOT / ".tools" / "peers"
PEERS: Final = ("river", "frouros", "nannyml", "evidently", "alibi")


def name_of_requirements(peer: str) -> str:
    """The file that says what a peer is installed from."""
    return f"requirements-{peer}.txt"


def environment(peer: str) -> Path:
    """The interpreter of a peer's environment, which is made where it is not there or not up to date.

    Raises:
        subprocess.CalledProcessError: it can't be installed here.
    """
    wanted = HERE / name_of_requirements(peer)
    folder = FOLDER / peer
    python, ready = folder / "bin" / "python", folder / "requirements.txt"
    if python.exists() and ready.exists() and ready.read_text() == wanted.read_text():
        return python
    sys.stderr.write(f"installing {peer} into {folder.relative_to(ROOT)} …\n")
    subprocess.run([sys.executable, "-m", "venv", "--clear", folder], check=True, capture_output=True)
    pip = [python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "-r", wanted]
    subprocess.run(pip, check=True, capture_output=True)
    ready.write_text(wanted.read_text())
    return python


def versions(peer: str) -> str:
    """What a peer is installed from, for the report: `river 0.26.1, numpy 2.4.6`."""
    lines = (HERE / name_of_requirements(peer)).read_text().split()
    return ", ".join(line.replace("==", " ") for line in lines if "==" in line)


if __name__ == "__main__":
    for each in PEERS:
        environment(each)
