"""What a device would say of samples: the one place where a builder runs the device's own code.

Temperature, reference and accuracy must come from the very arithmetic that runs in the field,
preprocessing, codec and all; a second implementation would be a drift of its own.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edge_publisher.model import Model, entropy_nats
from edge_publisher.preprocess import prepare_many
from schemas.bundle import Bundle, Preprocessing
from schemas.embedding import decode, encode
from schemas.errors import BundleError

Floats = NDArray[np.float32]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Said:
    """What the server would receive for n samples.

    Attributes:
        probabilities: (n, labels) float32, calibrated.
        embeddings: (n, d) float32 after the codec's round trip; (0, 0) without one.
        told: classes that travel for each sample.
    """

    probabilities: Floats
    embeddings: Floats
    told: int

    @property
    def class_id(self) -> NDArray[np.int64]:
        """(n,) the best class."""
        best: NDArray[np.int64] = self.probabilities.argmax(axis=1)
        return best

    @property
    def confidence(self) -> Floats:
        """(n,) its probability."""
        highest: Floats = self.probabilities.max(axis=1)
        return highest

    @property
    def second(self) -> Floats:
        """(n,) the probability of the next class; 0 where one class only travels."""
        if self.told < 2:
            return np.zeros(len(self.probabilities), np.float32)
        next_best: Floats = np.partition(self.probabilities, -2, axis=1)[:, -2]
        return next_best

    @property
    def entropy(self) -> Floats:
        """(n,) nats, over all classes."""
        return np.array([entropy_nats(each) for each in self.probabilities], np.float32)


def say(bundle: Bundle, samples: NDArray[Any]) -> Said:
    """What a device with `bundle` says of samples, shape (n, h, w) or (n, h, w, channels).

    Raises:
        BundleError: the model is not as its manifest says, or can't take these samples.
    """
    model, codec = Model(bundle), bundle.manifest.embedding_codec
    try:
        outputs = model.infer_many(samples)
        codes, scale = encode(outputs.embeddings, codec)
    except ValueError as error:
        raise BundleError(f"{bundle.manifest.name}: the validation samples do not fit: {error}") from error
    return Said(
        probabilities=outputs.probabilities,
        embeddings=decode(codes, scale, codec, model.dims),
        told=bundle.manifest.top_k,
    )


def latencies_us(bundle: Bundle, samples: NDArray[Any]) -> NDArray[np.int64]:
    """(n,) microseconds from sample to scores on this machine, one sample at a time, warmed up."""
    model = Model(bundle)
    model.infer(samples[0])
    return np.array([model.infer(sample).latency_us for sample in samples], np.int64)


def inputs(samples: NDArray[Any], steps: Preprocessing) -> Floats:
    """The model's inputs for n samples, batch axis first."""
    return prepare_many(samples, steps)
