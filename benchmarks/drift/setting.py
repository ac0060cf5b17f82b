"""The settings that all claims share: the detector is not tuned anew for each of them."""

from typing import Final

NUMBERS_WINDOW: Final = 10
"""Events of one window of numbers."""

EMBEDDINGS_WINDOW: Final = 20
"""Events of one window of embeddings."""

INTERVALS: Final = (1_000.0, 10_000.0)
"""Events between false alarms that are asked for."""
