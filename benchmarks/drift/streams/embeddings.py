"""Embedding streams: a mixture fitted to what a small network makes of handwritten digits.

A perceptron (64-32) is trained on 900 digits; its last hidden layer over the other 897 is standardised, and a
mixture of ten Gaussians fitted to it. Streams are drawn from the mixture, so that they
never end, and are shifted by changing it.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Final

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float32]
Doubles = NDArray[np.float64]
Shift = Callable[[np.random.Generator, int], Floats]

DIMS: Final = 32
CLUSTERS: Final = 10
_TRAINED: Final = 900


@dataclass(frozen=True, slots=True, eq=False)
class Mixture:
    """Where embeddings lie.

    Attributes:
        weights: (10,) of the clusters.
        means: (10, 32).
        roots: (10, 32, 32) Cholesky factors of the covariances.
        direction: (32,) of unit length, along which means are moved.
        strange: (32,) the mean of a class that the network was not trained on.
    """

    weights: Doubles
    means: Doubles
    roots: Doubles
    direction: Doubles
    strange: Doubles

    def draw(self, rng: np.random.Generator, rows: int, weights: Doubles | None = None, scale: float = 1.0) -> Floats:
        """(rows, 32) embeddings; other weights of the clusters, or their noise scaled, where given."""
        drawn = np.empty((rows, DIMS))
        cluster = rng.choice(CLUSTERS, rows, p=self.weights if weights is None else weights)
        noise = rng.normal(size=(rows, DIMS)) * scale
        for k in range(CLUSTERS):
            own = cluster == k
            drawn[own] = self.means[k] + noise[own] @ self.roots[k].T
        return drawn.astype(np.float32)


@lru_cache(maxsize=1)
def mixture() -> Mixture:
    """The one mixture: the same for every seed, as a fleet runs one model."""
    from sklearn.datasets import load_digits
    from sklearn.mixture import GaussianMixture
    from sklearn.neural_network import MLPClassifier
    from sklearn.preprocessing import StandardScaler

    pixels, labels = load_digits(return_X_y=True)
    pixels = pixels / 16.0
    network = MLPClassifier((64, DIMS), max_iter=300, random_state=0, alpha=1e-3)
    network.fit(pixels[:_TRAINED], labels[:_TRAINED])
    hidden = StandardScaler().fit_transform(_hidden(network, pixels[_TRAINED:]))
    fitted = GaussianMixture(CLUSTERS, reg_covar=1e-2, random_state=0).fit(hidden)
    rng = np.random.default_rng(7)
    direction, strange = rng.normal(size=(2, DIMS))
    radius = np.linalg.norm(fitted.means_, axis=1).mean()
    return Mixture(
        weights=fitted.weights_,
        means=fitted.means_,
        roots=np.linalg.cholesky(fitted.covariances_),
        direction=direction / np.linalg.norm(direction),
        strange=strange / np.linalg.norm(strange) * radius,
    )


def _hidden(network: "object", pixels: Doubles) -> Doubles:
    for weights, bias in list(zip(network.coefs_, network.intercepts_, strict=True))[:-1]:  # type: ignore[attr-defined]
        pixels = np.maximum(pixels @ weights + bias, 0.0)
    return pixels


def expected_shifts() -> Mapping[str, Shift]:
    """The shifts that the detector's alternatives aim at."""
    made = mixture()
    weights = made.weights * np.where(np.arange(CLUSTERS) == 0, 3.0, 1.0)
    return {
        "mean by 1": lambda rng, rows: made.draw(rng, rows) + made.direction.astype(np.float32),
        "mean by 2": lambda rng, rows: made.draw(rng, rows) + 2 * made.direction.astype(np.float32),
        "noise × 1.3": lambda rng, rows: made.draw(rng, rows, scale=1.3),
        "one class × 3": lambda rng, rows: made.draw(rng, rows, weights=weights / weights.sum()),
    }


def foreign_shifts() -> Mapping[str, Shift]:
    """Shifts that no alternative was made for."""
    made = mixture()
    return {
        "noise uncorrelated": _uncorrelated,
        "a class never seen, 10 %": _new_class,
        "heavy tails": _heavy_tails,
        "a value stuck at 0": lambda rng, rows: _stuck(made.draw(rng, rows)),
        "two values swapped": lambda rng, rows: _swapped(made.draw(rng, rows)),
        "turned inside clusters": _turned,
    }


def _uncorrelated(rng: np.random.Generator, rows: int) -> Floats:
    """Each value keeps its mean and variance in each cluster; their correlations are gone."""
    made = mixture()
    cluster = rng.choice(CLUSTERS, rows, p=made.weights)
    sigmas = np.sqrt(np.square(made.roots).sum(axis=2))
    return (made.means[cluster] + rng.normal(size=(rows, DIMS)) * sigmas[cluster]).astype(np.float32)


def _new_class(rng: np.random.Generator, rows: int) -> Floats:
    """A tenth of the rows come from an eleventh cluster, as far out as the others, elsewhere."""
    made = mixture()
    drawn = made.draw(rng, rows)
    new = rng.random(rows) < 0.1
    noise = rng.normal(size=(rows, DIMS)) @ made.roots[0].T
    drawn[new] = (made.strange + noise).astype(np.float32)[new]
    return drawn


def _heavy_tails(rng: np.random.Generator, rows: int) -> Floats:
    """The noise is Student's t with 3 degrees of freedom, at the same covariance."""
    made = mixture()
    cluster = rng.choice(CLUSTERS, rows, p=made.weights)
    stretch = np.sqrt(1.0 / rng.chisquare(3, (rows, 1)))  # E[1/χ²₃] = 1
    noise = np.einsum("nij,nj->ni", made.roots[cluster], rng.normal(size=(rows, DIMS)))
    return (made.means[cluster] + noise * stretch).astype(np.float32)


def _stuck(drawn: Floats) -> Floats:
    drawn[:, 0] = 0.0
    return drawn


def _swapped(drawn: Floats) -> Floats:
    drawn[:, [0, 1]] = drawn[:, [1, 0]]
    return drawn


@lru_cache(maxsize=1)
def _turn() -> Doubles:
    """(32, 32) a rotation of the noise: every pair of values by 45°."""
    turn, half = np.eye(DIMS), np.sqrt(0.5)
    for i in range(0, DIMS, 2):
        turn[i : i + 2, i : i + 2] = [[half, -half], [half, half]]
    return turn


def _turned(rng: np.random.Generator, rows: int) -> Floats:
    """Noise is turned by 45° in pairs of values; the clusters stay where they are."""
    made = mixture()
    cluster = rng.choice(CLUSTERS, rows, p=made.weights)
    noise = np.einsum("nij,nj->ni", made.roots[cluster], rng.normal(size=(rows, DIMS)))
    return (made.means[cluster] + noise @ _turn().T).astype(np.float32)
