"""A fitted scale spreads the validation rows over its bins, and a row lies where it lies, alone or among others."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.decomposition import PCA

from operators.panes import count, layout_of, positions
from operators.reference import same_scale
from operators.reference_check import check
from operators.scale import MAX_SLOTS, Scale
from operators.space import CELLS, MAX_CELL, STEPS, WAVES, Space
from operators.statistics import kolmogorov_smirnov
from pipelines.models.fit import Rows, accept, columns_of, fit
from pipelines.models.fit_space import fit_space
from schemas.embedding import Codec
from schemas.errors import BundleError
from tests.operators.references import LABELS, draw_rows, take


def wild(n: int, dims: int, seed: int) -> np.ndarray:
    """Embeddings of very different sizes, some of them far beyond anything, some zero."""
    rng = np.random.default_rng(seed)
    sizes = 10.0 ** rng.integers(-3, 4, (n, 1))
    return (rng.normal(size=(n, dims)) * sizes * (rng.random((n, dims)) < 0.8)).astype(np.float32)


DIMS = [1, 3, 64, 200, 1024]


@pytest.fixture(scope="module", params=DIMS)
def space(request: pytest.FixtureRequest) -> Space:
    rng = np.random.default_rng(request.param)
    found = fit_space(rng.normal(1, 2, (300, request.param)).astype(np.float32), Codec.F32, 4)
    assert found is not None
    assert (found.dims, found.directions) == (request.param, min(request.param, 16))
    return found


@pytest.mark.parametrize("seed", range(3))
def test_a_row_lies_in_the_same_place_alone_as_among_others(space: Space, seed: int) -> None:
    rows = wild(97, space.dims, seed)
    together, reversed_ = space.locate(rows), space.locate(rows[::-1])
    for at in range(len(rows)):
        alone = space.locate(rows[at : at + 1])
        for one, others, mirrored in (
            (alone.cells, together.cells, reversed_.cells),
            (alone.norm, together.norm, reversed_.norm),
            (space.direction_bins(alone.cells), space.direction_bins(together.cells), None),
            (space.wave_values(alone.cells), space.wave_values(together.cells), None),
            *((a, b, None) for a, b in zip(space.nearest(alone.cells), space.nearest(together.cells), strict=True)),
        ):
            assert one[0].tobytes() == others[at].tobytes()
            assert mirrored is None or mirrored[-1 - at].tobytes() == one[0].tobytes()


def test_a_place_is_the_exact_sum_of_whole_numbers(space: Space) -> None:
    """Against Python's own integers, at the largest values there are."""
    rows = wild(40, space.dims, 5)
    rows[0], rows[1] = np.finfo(np.float32).max, -np.finfo(np.float32).max
    located = space.locate(rows)
    with np.errstate(over="ignore"):
        steps = np.clip(np.rint(rows * np.float32(1 / space.unit)), -2 * STEPS, 2 * STEPS)
    whole = steps.astype(int).astype(object) - space.center.astype(object)
    assert located.norm.tolist() == (whole**2).sum(axis=1).tolist()
    along = whole @ space.weights.T.astype(object)
    cells = np.rint(along.astype(np.float32) * space.gain)
    assert np.array_equal(located.cells, np.clip(cells, -MAX_CELL, MAX_CELL))
    apart = located.cells.astype(int)[:, None] - space.centroids
    best, distance = space.nearest(located.cells)
    assert distance.tolist() == (apart**2).sum(axis=2).min(axis=1).tolist()
    assert best.tolist() == (apart**2).sum(axis=2).argmin(axis=1).tolist()


@pytest.mark.parametrize("dims", DIMS)
def test_rows_counted_one_by_one_add_up_to_those_counted_together(dims: int) -> None:
    rows = replace(draw_rows(60, dims=0), embeddings=wild(60, dims, dims), codec=Codec.F32)
    scale = fit(LABELS, rows)
    assert scale.space is not None

    def pane(part: Rows) -> np.ndarray:
        columns = columns_of(part, scale)
        n = len(columns.class_id)
        return count(scale, columns, positions(scale, columns), np.ones(n, bool), np.zeros(n, np.int64), 1)[0]

    alone = [pane(take(rows, slice(at, at + 1))) for at in range(60)]
    assert np.array_equal(np.sum(alone, axis=0), pane(rows))


@settings(deadline=None, max_examples=20)
@given(
    seed=st.integers(0, 2**32 - 1),
    n=st.integers(1, 80),
    dims=st.integers(0, 12),
    scale=st.sampled_from([1e-20, 1, 1e30]),
)
def test_any_rows_make_a_possible_reference_and_the_same_rows_the_same(
    seed: int, n: int, dims: int, scale: float
) -> None:
    drawn = draw_rows(n, seed, dims)
    rows = replace(drawn, embeddings=drawn.embeddings * np.float32(scale))
    first = accept(model="m", version=1, labels=LABELS, rows=rows)
    assert check(first).rows == n
    assert same_scale(first.scale, fit(LABELS, rows))


def test_each_bin_holds_its_share_of_the_rows_it_was_fitted_to() -> None:
    rows = draw_rows(3200)
    reference = accept(model="m", version=1, labels=LABELS, rows=rows, scale=fit(LABELS, rows))
    for name in ("confidence", "margin", "entropy"):
        assert reference.counts(name).tolist() == [200] * 16
    for name in ("centroid_distance", "embedding_norm"):
        assert np.abs(reference.counts(name) - 200).max() <= 30
    for at in range(1, 6):
        assert np.abs(reference.counts(f"embedding_{at}") - 400).max() <= 120  # cells are a sixteenth of σ


def test_embeddings_are_counted_of_rows_that_the_space_was_not_fitted_to() -> None:
    """On its own rows a space looks better than on any later ones."""
    rng = np.random.default_rng(5)
    rows = replace(draw_rows(3000), embeddings=rng.normal(size=(3000, 24)).astype(np.float32), codec=Codec.F32)
    reference = accept(model="m", version=1, labels=LABELS, rows=rows)
    fresh = replace(rows, embeddings=rng.normal(size=(3000, 24)).astype(np.float32))
    later = accept(model="m", version=1, labels=LABELS, rows=fresh, scale=reference.scale)
    own, new = (each.counts("centroid_distance") for each in (reference, later))
    assert kolmogorov_smirnov(own, new) < 0.045  # 5 % of healthy pairs of 2,000 and 3,000 rows lie beyond 0.039
    assert own.sum() == 2000


def test_directions_are_the_principal_ones_and_a_standard_deviation_is_sixteen_cells() -> None:
    """Against scikit-learn's components."""
    rng = np.random.default_rng(1)
    rows = (rng.normal(size=(4000, 5)) * [8, 4, 2, 1, 0.01] + [20, 0, 0, 0, 0]).astype(np.float32)
    space = fit_space(rows, Codec.F32, 3)
    assert space is not None
    known = PCA(4).fit(rows).components_
    assert space.directions == 4  # the last one varies by less than a step
    own = space.weights / np.linalg.norm(space.weights, axis=1, keepdims=True)
    np.testing.assert_allclose(np.abs((own * known).sum(axis=1)), 1, atol=1e-3)
    assert (np.take_along_axis(space.weights, np.abs(space.weights).argmax(axis=1)[:, None], 1) > 0).all()
    cells = space.locate(rows).cells
    np.testing.assert_allclose(cells.std(axis=0), CELLS, rtol=0.01)
    np.testing.assert_allclose(cells.mean(axis=0), 0, atol=CELLS / 4)


def test_clusters_are_found() -> None:
    rng = np.random.default_rng(2)
    which = rng.integers(0, 4, 2000)
    centres = np.array([[0, 0, 9], [9, 0, 0], [0, 9, 0], [9, 9, 9]])
    space = fit_space((centres[which] + rng.normal(0, 0.3, (2000, 3))).astype(np.float32), Codec.F32, 4)
    assert space is not None
    nearest, _ = space.nearest(space.locate(centres.astype(np.float32)).cells)
    assert sorted(nearest.tolist()) == [0, 1, 2, 3]


@pytest.mark.parametrize("classes", [1, 2, 7, 16, 100])
def test_there_are_as_many_clusters_as_classes_from_two_to_sixteen(classes: int) -> None:
    space = fit_space(np.random.default_rng(3).normal(size=(800, 4)).astype(np.float32), Codec.F32, classes)
    assert space is not None
    assert len(space.centroids) == min(max(classes, 2), 16)


def test_waves_are_drawn_by_the_distance_of_rows() -> None:
    """Frequencies have the standard deviation 1 / bandwidth, the bandwidth is near √(2r) for Gaussian rows."""
    space = fit_space(np.random.default_rng(4).normal(size=(2000, 8)).astype(np.float32), Codec.F32, 4)
    assert space is not None
    assert space.waves.shape == (8, WAVES)
    assert len(np.unique(space.phases)) > WAVES - 4
    radians = space.waves * CELLS * 2 * np.pi / 4096
    assert 1 / radians.std() == pytest.approx(np.sqrt(16), rel=0.1)


@pytest.mark.parametrize(
    "embeddings",
    [
        np.zeros((50, 3), np.float32),
        np.full((50, 3), 1e-40, np.float32) * np.arange(50, dtype=np.float32)[:, None],
        np.tile(np.array([[1, -2, 3.5]], np.float32), (50, 1)),
        np.ones((1, 3), np.float32),
        np.empty((0, 0), np.float32),
    ],
    ids=["zero", "tiny", "constant", "one row", "none"],
)
def test_what_does_not_vary_has_no_space(embeddings: np.ndarray) -> None:
    assert fit_space(embeddings, Codec.F32, 5) is None


def test_two_distinct_rows_have_one_direction_and_two_clusters() -> None:
    space = fit_space(np.repeat(np.eye(4, dtype=np.float32)[:2], 40, axis=0), Codec.F32, 10)
    assert space is not None
    assert (space.directions, len(space.centroids)) == (1, 2)


def test_few_rows_have_few_directions() -> None:
    rng = np.random.default_rng(6)
    for rows, directions in ((2, 1), (23, 2), (80, 10), (1000, 16)):
        space = fit_space(rng.normal(size=(rows, 40)).astype(np.float32), Codec.F32, 5)
        assert space is not None
        assert space.directions == directions


def test_too_long_an_embedding_is_refused() -> None:
    with pytest.raises(BundleError, match="pca-i8"):
        fit_space(np.ones((2, 1025), np.float32), Codec.F32, 5)


@pytest.mark.parametrize("labels", [1, 2, 64, 65, 1000])
def test_the_classes_that_are_predicted_most_are_counted_apart(labels: int) -> None:
    scale = fit(tuple(map(str, range(labels))), many_classes(labels))
    assert scale.classes == min(labels, MAX_SLOTS)
    alone = [slot for slot in range(scale.classes) if (scale.slots == slot).sum() == 1]
    if labels <= MAX_SLOTS:
        assert scale.slots.tolist() == list(range(labels))
    else:
        apart = {int(np.flatnonzero(scale.slots == slot)[0]) for slot in alone if slot < MAX_SLOTS - 1}
        assert apart == {labels - 1 - at for at in range(MAX_SLOTS - 1)}
        mix = scale.features[0]
        assert scale.bin_name(mix, 0) == str(labels - MAX_SLOTS + 1)
        assert scale.bin_name(mix, MAX_SLOTS - 1) == "other classes"
    check(accept(model="m", version=1, labels=scale.labels, rows=many_classes(labels), scale=scale))


def many_classes(labels: int) -> Rows:
    """The last class most often, the first least."""
    class_id = np.repeat(np.arange(labels), np.arange(1, labels + 1) if labels < 100 else np.arange(labels) // 100 + 1)
    class_id = np.concatenate([class_id, np.repeat(np.arange(labels - 63, labels), 20)]) if labels > 64 else class_id
    n = len(class_id)
    ramp = np.linspace(0.5, 1, n, dtype=np.float32)
    return Rows(
        class_id=class_id,
        confidence=ramp,
        second=1 - ramp,
        entropy=1 - ramp,
        embeddings=np.empty((0, 0), np.float32),
        codec=Codec.NONE,
    )


def test_confidences_that_are_all_but_equal_make_edges_that_do_not_fall() -> None:
    """Interpolation between quantiles may round to a hair below."""
    rows = draw_rows(500, dims=0)
    one = np.nextafter(np.float32(1), np.float32(0))
    flat = replace(
        rows, confidence=np.where(rows.confidence > 0.9, np.float32(1), one), second=np.zeros(500, np.float32)
    )
    scale: Scale = fit(LABELS, flat)
    assert (np.diff(scale.confidence_edges) >= 0).all()
    assert layout_of(scale).stack.stop == 2 + sum(feature.bins for feature in scale.features)
