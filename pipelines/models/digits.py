"""The handwritten digits that scikit-learn carries: 1,797 real 8×8 images of 43 people.

Source: E. Alpaydin and C. Kaynak, Optical Recognition of Handwritten Digits, UCI Machine Learning Repository, 1998.
"""

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

Images = NDArray[np.uint8]
Labels = NDArray[np.int64]

LABELS: Final = tuple("0123456789")
SIDE: Final = 8
FRAME_FACTOR: Final = 8
"""A camera's frame is the image with each pixel as a block of 8×8: 64×64."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Part:
    """Some of the images.

    Attributes:
        images: (n, 8, 8) uint8, 0 … 255.
        labels: (n,) int64 in 0 … 9.
    """

    images: Images
    labels: Labels


@dataclass(frozen=True, slots=True, kw_only=True)
class Split:
    """The images, cut so that no image is in two parts; digits are equally mixed in each.

    Attributes:
        train: a half, for the weights.
        validation: a quarter, for temperature and reference.
        test: a quarter, for figures that nothing was fitted to.
    """

    train: Part
    validation: Part
    test: Part


def split_digits(seed: int) -> Split:
    """The three parts, by a seed."""
    from sklearn.datasets import load_digits  # it takes a second to import, and no service needs it

    pixels, labels = load_digits(return_X_y=True)
    images = np.round(pixels * 255 / 16).astype(np.uint8).reshape(-1, SIDE, SIDE)
    every = Part(images=images, labels=labels.astype(np.int64))
    train, rest = _halves(every, seed)
    validation, test = _halves(rest, seed + 1)
    return Split(train=train, validation=validation, test=test)


def heldout(seed: int) -> tuple[Images, Labels]:
    """What the devices may see: (n, 8, 8) uint8 images that training did not, and their labels."""
    split = split_digits(seed)
    images = np.concatenate([split.validation.images, split.test.images])
    return images, np.concatenate([split.validation.labels, split.test.labels])


def frames(images: Images) -> Images:
    """(n, 64, 64) uint8: the images as a camera takes them, each pixel a block of 8×8."""
    return images.repeat(FRAME_FACTOR, axis=1).repeat(FRAME_FACTOR, axis=2)


def _halves(part: Part, seed: int) -> tuple[Part, Part]:
    from sklearn.model_selection import train_test_split

    order = np.arange(len(part.labels))
    first, second = train_test_split(order, test_size=0.5, random_state=seed % 2**32, stratify=part.labels)
    cut = [Part(images=part.images[half], labels=part.labels[half]) for half in (first, second)]
    return cut[0], cut[1]
