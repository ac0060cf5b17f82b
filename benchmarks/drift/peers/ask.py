"""Asking a peer: arrays and settings go in as files, its answer comes back as JSON.

A peer's program runs in the peer's own environment, on one thread, and reads no more than it is given. An
answer is kept under `.tools/peers/answers` by what was asked, so that it is not computed twice.
"""

import hashlib
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from benchmarks.drift.peers.venvs import FOLDER, HERE, ROOT, environment, name_of_requirements

ONE_THREAD: Final = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1")
_SILENT: Final = {"DO_NOT_TRACK": "1", "NML_DISABLE_USAGE_LOGGING": "1", "TF_CPP_MIN_LOG_LEVEL": "3"}
_LONGEST_S: Final = 3600
_MEASURED: Final = HERE / "measured.json"


@dataclass(slots=True)
class Peers:
    """Other libraries, where they can be had.

    Attributes:
        wanted: whether they are asked at all.
        missing: peers that could not be installed, and why.
        failed: questions that a peer did not answer, and why.
        measured: figures of peers that limits refer to.
    """

    wanted: bool
    missing: dict[str, str] = field(default_factory=dict)
    failed: list[str] = field(default_factory=list)
    measured: dict[str, float] = field(default_factory=dict)

    def ask(self, peer: str, job: Mapping[str, Any], arrays: Mapping[str, NDArray[Any]]) -> Any:
        """What a peer answers; None where it can't be asked.

        Args:
            peer: such as `river`; its program is `<peer>_peer.py` beside this file.
            job: JSON that the program understands.
            arrays: by name.
        """
        if not self.wanted or peer in self.missing:
            return None
        kept = FOLDER / "answers" / f"{peer}-{_asked(peer, job, arrays)}.json"
        if not kept.exists():
            try:
                python = environment(peer)
            except (OSError, subprocess.SubprocessError) as failed:
                self.missing[peer] = _why(failed)
                return None
            try:
                answer = _run(python, peer, job, arrays)
            except (OSError, subprocess.SubprocessError) as failed:
                self.failed.append(f"{peer}: {_why(failed)}")
                sys.stderr.write(f"{self.failed[-1]}\n")
                return None
            kept.parent.mkdir(parents=True, exist_ok=True)
            kept.write_text(answer)
        return json.loads(kept.read_text())

    def kept(self, name: str, value: float) -> float:
        """A peer's figure: `value`, or in a run without peers what the last full run measured."""
        if self.wanted:
            self.measured[name] = value
            return value
        known = json.loads(_MEASURED.read_text()) if _MEASURED.exists() else {}
        return float(known.get(name) or "nan")

    def keep(self) -> None:
        """Write the figures down for runs without peers."""
        told = {name: float(f"{value:.4g}") if np.isfinite(value) else None for name, value in self.measured.items()}
        _MEASURED.write_text(json.dumps(told, indent=2, ensure_ascii=False, sort_keys=True) + "\n")


def _asked(peer: str, job: Mapping[str, Any], arrays: Mapping[str, NDArray[Any]]) -> str:
    """A fingerprint of the question, of the program that answers it, and of what it is installed from."""
    asked = hashlib.sha256(json.dumps(job, sort_keys=True).encode())
    for path in (HERE / f"{peer}_peer.py", HERE / "loop.py", HERE / name_of_requirements(peer)):
        asked.update(path.read_bytes())
    for name, array in sorted(arrays.items()):
        asked.update(f"{name}{array.shape}{array.dtype}".encode())
        asked.update(np.ascontiguousarray(array).data)
    return asked.hexdigest()[:24]


def _run(python: Path, peer: str, job: Mapping[str, Any], arrays: Mapping[str, NDArray[Any]]) -> str:
    with tempfile.TemporaryDirectory(prefix="gleaner-peer-") as folder:
        into, out = Path(folder, "arrays.npz"), Path(folder, "answer.json")
        np.savez(into, **{name: np.asarray(array) for name, array in arrays.items()})
        Path(folder, "job.json").write_text(json.dumps(job))
        sys.stderr.write(f"asking {peer} …\n")
        subprocess.run(
            [python, "-W", "ignore", "-m", f"benchmarks.drift.peers.{peer}_peer", folder],
            cwd=ROOT,
            env=os.environ | ONE_THREAD | _SILENT,
            check=True,
            capture_output=True,
            timeout=_LONGEST_S,
        )
        return out.read_text()


def _why(failed: Exception) -> str:
    said = getattr(failed, "stderr", None) or b""
    lines = said.decode(errors="replace").strip().splitlines()
    return lines[-1] if lines else str(failed)
