"""Windows: rows counted into panes, whatever batch or order they come in."""

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from operators.panes import layout_of
from operators.reference import Reference, build
from operators.windows import Panes, add_panes, count_rows, embeddings_of
from schemas.embedding import Codec
from schemas.topics import Up
from tests.factories import LABELS, NOON, header, inferences, payload, rows

WINDOW = 300_000  # a third of a second: the rows of one message fall into several


def reference_for(model: str, version: int, codec: Codec, dims: int) -> Reference:
    rng = np.random.default_rng(version)
    return build(
        model=model,
        version=version,
        labels=tuple("abcdefghij"),
        class_id=rng.integers(0, LABELS, 200),
        confidence=rng.random(200, np.float32),
        embeddings=rng.normal(size=(200, dims)).astype(np.float32),
        embedding_codec=codec,
    )


MADE = (
    ("digits", 3, Codec.I8, 4),
    ("digits", 4, Codec.F32, 3),
    ("letters", 3, Codec.NONE, 0),
    ("faces", 1, Codec.F16, 2),
)
REFERENCES = {(model, version): reference_for(model, version, codec, dims) for model, version, codec, dims in MADE[:3]}
MESSAGES = st.lists(
    st.tuples(st.sampled_from(MADE), st.sampled_from(("north", "south")), st.integers(1, 6), st.integers(1, 3)),
    max_size=6,
)
Shape = tuple[tuple[str, int, Codec, int], str, int, int]


def batch(messages: list[Shape]) -> pa.RecordBatch:
    return rows(
        [
            inferences(seed=seed, model=m, model_version=v, codec=c, dims=d, site=site, count=count, top_k=k)
            for seed, ((m, v, c, d), site, count, k) in enumerate(messages)
        ]
    )


def equal(a: Panes, b: Panes) -> bool:
    return a.keys() == b.keys() and all(np.array_equal(pane, b[key]) for key, pane in a.items())


@settings(deadline=None)
@given(MESSAGES, st.data())
def test_any_split_and_order_gives_the_same_panes(messages: list[Shape], data: st.DataObject) -> None:
    whole = batch(messages)
    order = data.draw(st.permutations(range(whole.num_rows)))
    shuffled = whole.take(pa.array(order, pa.int64()))
    cut = data.draw(st.integers(0, whole.num_rows))
    added: Panes = {}
    for part in (shuffled[:cut], shuffled[cut:]):
        add_panes(added, count_rows(part, REFERENCES, WINDOW))
    assert equal(added, count_rows(whole, REFERENCES, WINDOW))


@settings(deadline=None)
@given(MESSAGES)
def test_each_row_of_a_known_model_is_in_the_pane_of_its_window(messages: list[Shape]) -> None:
    wanted: dict[tuple[str, int, str, int], list[int]] = {}
    for row in batch(messages).to_pylist():
        if (row["model"], row["model_version"]) in REFERENCES:
            time = round((row["time"].timestamp()) * 1_000_000)
            key = (row["model"], row["model_version"], row["site"], time // WINDOW * WINDOW)
            wanted.setdefault(key, [0] * LABELS)[row["class_ids"][0]] += 1
    found = count_rows(batch(messages), REFERENCES, WINDOW)
    assert {key: pane[layout_of(REFERENCES[key[:2]]).classes].tolist() for key, pane in found.items()} == wanted
    assert all(pane[0] == sum(wanted[key]) for key, pane in found.items())


@pytest.mark.parametrize(("model", "version", "codec", "dims"), MADE[:3])
def test_embeddings_of_a_slice_are_a_slice_of_the_embeddings(model: str, version: int, codec: Codec, dims: int) -> None:
    of = rows([inferences(seed=s, model=model, model_version=version, codec=codec, dims=dims, count=5) for s in (0, 1)])
    reference = REFERENCES[model, version]
    whole: NDArray[np.float32] = embeddings_of(of, reference)
    assert whole.shape == ((10, dims) if dims else (0, 0))
    assert np.array_equal(embeddings_of(of[3:7], reference), whole[3:7])
    assert np.array_equal(embeddings_of(of.take(pa.array([8, 2])), reference), whole[[8, 2]] if dims else whole)


def test_the_largest_values_that_are_let_in_are_counted() -> None:
    huge = np.full(2, np.finfo(np.float32).max / 128, np.float32)
    message = ("cam-1", Up.INFERENCES, payload(header(), embedding_scale=huge))
    (pane,) = count_rows(rows([message]), REFERENCES, NOON).values()
    assert pane[0] == 2


def test_nothing_is_counted_of_nothing() -> None:
    assert count_rows(rows([]), REFERENCES, WINDOW) == {}
    assert count_rows(rows([inferences(model="unknown")]), REFERENCES, WINDOW) == {}
