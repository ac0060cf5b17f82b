"""How every benchmark speaks: one JSON object a line."""

import json
import sys
from typing import Any


def figure(name: str, value: float, unit: str, **params: Any) -> None:
    """Print one measured figure."""
    rounded = float(f"{value:.4g}")
    sys.stdout.write(json.dumps({"figure": name, "value": rounded, "unit": unit, "params": params}) + "\n")
    sys.stdout.flush()
