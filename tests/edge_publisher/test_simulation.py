import random
from itertools import islice

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edge_publisher import netpbm
from edge_publisher.simulation.camera import Camera, EffectSettings
from edge_publisher.simulation.effects import EFFECTS
from edge_publisher.simulation.garbage import GARBAGE, real_payload
from schemas import wire

IMAGES = np.random.default_rng(0).integers(0, 256, (20, 8, 8)).astype(np.uint8)
LABELS = np.arange(20) % 10
FRAME = IMAGES[0].repeat(8, 0).repeat(8, 1)


def camera(seed: int, *effects: EffectSettings, at: float = 0.0) -> Camera:
    return Camera(IMAGES, LABELS, (seed,), effects, lambda: at)


@settings(deadline=None)
@given(st.sampled_from(sorted(EFFECTS)), st.floats(0, 1), st.integers(8, 40), st.integers(8, 40), st.integers(0, 2**32))
def test_every_effect_gives_a_frame_of_bytes(name: str, strength: float, h: int, w: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    frame = rng.integers(0, 256, (h, w)).astype(np.uint8)
    before = frame.copy()
    found = EFFECTS[name](frame, strength, rng)
    assert (found.shape, found.dtype) == (frame.shape, np.uint8)
    assert (frame == before).all()


@pytest.mark.parametrize("name", sorted(EFFECTS))
def test_an_effect_of_no_strength_changes_nothing_and_more_changes_more(name: str) -> None:
    changed = [
        np.abs(EFFECTS[name](FRAME, strength, np.random.default_rng(1)).astype(int) - FRAME).mean()
        for strength in (0.0, 0.3, 0.9)
    ]
    assert changed[0] == 0
    assert 0 < changed[1] < changed[2] or (name == "rotate" and min(changed[1:]) > 0)


def test_a_quarter_turn_is_a_quarter_turn_and_dim_is_known() -> None:
    rng = np.random.default_rng(0)
    assert (EFFECTS["rotate"](FRAME, 1.0, rng) == np.rot90(FRAME, -1)).all()
    assert (EFFECTS["dim"](np.full((4, 4), 200, np.uint8), 1.0, rng) == 20).all()
    assert (EFFECTS["blur"](np.full((64, 64), 77, np.uint8), 1.0, rng) == 77).all()


def test_the_same_seed_sees_the_same_and_another_another() -> None:
    first, again, other = ([sample.data for sample in islice(camera(seed), 30)] for seed in (1, 1, 2))
    assert first == again
    assert first != other


def test_a_frame_is_its_image_eight_times_larger_with_its_label() -> None:
    for sample in islice(camera(3), 20):
        assert (netpbm.read(sample.data) == sample.array).all()
        small = sample.array[::8, ::8]
        assert any(
            (small == image).all() and sample.label == label for image, label in zip(IMAGES, LABELS, strict=True)
        )


def test_an_effect_acts_in_its_time_only() -> None:
    smear = EffectSettings(effect="smear", from_s=10, to_s=20, strength=1.0)
    clean = next(iter(camera(1))).data
    seen = {at: next(iter(camera(1, smear, at=at))).data for at in (9.9, 10.0, 19.9, 20.0)}
    assert [seen[at] == clean for at in seen] == [True, False, False, True]


@pytest.mark.parametrize("make", GARBAGE)
def test_garbage_is_never_read_as_inferences(make) -> None:
    rng = random.Random(5)
    payloads = [make(rng) for _ in range(300)]
    assert len(wire.decode(payloads).refused) == 300


def test_the_raw_material_of_garbage_would_be_read() -> None:
    assert not wire.decode([real_payload(random.Random(1))]).refused
