import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edge_publisher.preprocess import prepare, prepare_many
from schemas.bundle import Preprocessing


@settings(deadline=None)
@given(st.integers(1, 6), st.integers(1, 6), st.integers(0, 20), st.integers(0, 20), st.integers(0, 2**32 - 1))
def test_averaging_keeps_the_mean_and_the_range(height: int, width: int, more_h: int, more_w: int, seed: int) -> None:
    sample = np.random.default_rng(seed).integers(0, 256, (height + more_h, width + more_w)).astype(np.uint8)
    found = prepare(sample, Preprocessing(width=width, height=height))
    assert found.shape == (1, 1, height, width)
    assert found.dtype == np.float32
    assert np.isclose(found.mean(), sample.mean(), rtol=1e-4, atol=1e-3)
    assert found.min() >= sample.min() - 1e-3
    assert found.max() <= sample.max() + 1e-3


def test_an_image_made_larger_by_repetition_comes_back_exactly() -> None:
    image = np.arange(64, dtype=np.uint8).reshape(8, 8) * 3
    frame = image.repeat(8, 0).repeat(8, 1)
    found = prepare(frame, Preprocessing(width=8, height=8, layout="flat"))
    assert (found == image.reshape(1, 64)).all()


def test_a_pixel_counts_by_the_area_it_covers() -> None:
    found = prepare(np.array([[0, 30, 60]]), Preprocessing(width=2, height=1, layout="flat"))
    assert np.allclose(found, [[10, 50]])  # (1·0 + ½·30) / 1.5 and (½·30 + 1·60) / 1.5


def test_scale_mean_and_std_act_on_each_channel_and_layouts_differ_in_order_only() -> None:
    sample = np.arange(24, dtype=np.uint8).reshape(2, 4, 3)
    given_ = {"width": 4, "height": 2, "channels": 3, "scale": 0.5, "mean": (1.0, 2.0, 3.0), "std": (1.0, 2.0, 4.0)}
    expected = ((sample * 0.5 - np.array([1, 2, 3])) / np.array([1, 2, 4])).astype(np.float32)
    steps = {layout: Preprocessing(layout=layout, **given_) for layout in ("nhwc", "nchw", "flat")}  # type: ignore[arg-type]
    assert np.allclose(prepare(sample, steps["nhwc"])[0], expected)
    assert np.allclose(prepare(sample, steps["nchw"])[0], expected.transpose(2, 0, 1))
    assert np.allclose(prepare(sample, steps["flat"])[0], expected.ravel())


def test_many_samples_become_what_each_becomes_alone() -> None:
    samples = np.random.default_rng(3).integers(0, 256, (5, 20, 31)).astype(np.uint8)
    steps = Preprocessing(width=7, height=6, scale=1 / 255)
    alone = np.concatenate([prepare(sample, steps) for sample in samples])
    assert np.allclose(prepare_many(samples, steps), alone, atol=1e-6)


@pytest.mark.parametrize(
    "sample",
    [
        np.zeros((4, 4)),
        np.zeros((8, 8, 3)),
        np.zeros(64),
        np.zeros((1, 8, 8, 1)),
        np.array([["a"] * 8] * 8),
        np.zeros((8, 8), dtype=object),
        np.zeros((0, 8)),
    ],
)
def test_a_sample_that_can_not_be_used_is_told(sample: np.ndarray) -> None:
    with pytest.raises(ValueError, match="a sample"):
        prepare(sample, Preprocessing(width=8, height=8))
