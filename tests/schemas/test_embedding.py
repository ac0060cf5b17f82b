"""Embedding codecs: what comes back, and how far from what was sent."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays
from numpy.typing import NDArray

from schemas.embedding import CODECS, Codec, decode, encode

Floats = NDArray[np.float32]
SHAPES = array_shapes(min_dims=2, max_dims=2, min_side=1, max_side=8)
HALF = 65_504.0
TINY = 2.0**-149  # the step of the smallest float32


def vectors(largest: float) -> st.SearchStrategy[Floats]:
    largest = float(np.float32(largest))
    return arrays(np.float32, SHAPES, elements=st.floats(-largest, largest, width=32))


def there_and_back(sent: Floats, codec: Codec) -> Floats:
    codes, scale = encode(sent, codec)
    assert len(codes) == sent.size * codec.width
    assert scale.shape == ((len(sent),) if codec.scaled else (0,))
    return decode(codes, scale, codec, sent.shape[1])


@settings(deadline=None)
@given(vectors(float(np.finfo(np.float32).max)))
def test_f32_comes_back_as_it_was(sent: Floats) -> None:
    assert there_and_back(sent, Codec.F32).tobytes() == sent.tobytes()


@settings(deadline=None)
@given(vectors(HALF))
def test_f16_is_off_by_a_2048th_or_by_2_to_the_minus_25(sent: Floats) -> None:
    error = np.abs(there_and_back(sent, Codec.F16).astype(np.float64) - sent)
    bound = np.where(np.abs(sent) >= 2.0**-14, np.abs(sent.astype(np.float64)) / 2048, 2.0**-25)
    assert (error <= bound).all()


@pytest.mark.parametrize("codec", [Codec.I8, Codec.PCA_I8])
@settings(deadline=None)
@given(vectors(1e38))
def test_i8_is_off_by_half_a_step_of_the_largest_value(codec: Codec, sent: Floats) -> None:
    error = np.abs(there_and_back(sent, codec).astype(np.float64) - sent)
    largest = np.abs(sent.astype(np.float64)).max(axis=1, keepdims=True)
    rounding = largest * 2.0**-22 + 127 * TINY
    assert (error <= largest / 254 + rounding).all()


@pytest.mark.parametrize("codec", [Codec.I8, Codec.PCA_I8])
def test_i8_gives_the_known_codes(codec: Codec) -> None:
    codes, scale = encode(np.array([[1.27, -1.27, 0.0, 0.014]], np.float32), codec)
    assert np.frombuffer(codes, np.int8).tolist() == [127, -127, 0, 1]
    assert scale.tolist() == pytest.approx([0.01])


def test_a_vector_of_zeros_comes_back() -> None:
    for codec in (Codec.F32, Codec.F16, Codec.I8):
        assert not there_and_back(np.zeros((3, 4), np.float32), codec).any()


def test_none_sends_nothing() -> None:
    assert there_and_back(np.ones((3, 4), np.float32), Codec.NONE).shape == (0, 0)


@pytest.mark.parametrize("codec", CODECS)
@pytest.mark.parametrize("odd", [np.nan, np.inf, -np.inf])
def test_what_is_not_finite_is_not_sent(codec: Codec, odd: float) -> None:
    with pytest.raises(ValueError, match="not finite"):
        encode(np.array([[1.0, odd]], np.float32), codec)


def test_f16_refuses_what_it_can_not_hold() -> None:
    with pytest.raises(ValueError, match="use f32 or i8"):
        encode(np.array([[HALF * 1.01]], np.float32), Codec.F16)


def test_the_numbers_on_the_wire_do_not_move() -> None:
    assert [str(codec) for codec in CODECS] == ["none", "f32", "f16", "i8", "pca-i8"]
