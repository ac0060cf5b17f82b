"""THE dataflow: from the log to the lake, and back to the devices.

::

    log ─▶ decode ─▶ dedup ─┬──────────────────────────────────────▶ lake ─▶ acks
                            ├─▶ windows ─▶ drift ───────────────────▶ lake
                            ├─▶ candidates ─▶ select ─▶ requests ─┬─▶ lake
                            └────────── samples ──────▶ ▲         └─▶ devices

Everything is keyed by log partition, but for `drift` (by bucket of cohorts) and
`select` (one key: budgets are the fleet's), which wait until all partitions have told
a round. No step reads a clock: time is what the ticks in the log say.
"""

import math
import zlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any, Final

import bytewax.operators as op
from bytewax.dataflow import Dataflow

from operators.budget import BURST, HOUR_US, Budget
from operators.candidates import Candidates, find_candidates, merge
from operators.decode import Clock, Decoded, decode
from operators.dedup import Unique, dedup, seeded
from operators.requests import Patience
from operators.rounds import Part, Rounds
from operators.select import Chosen, Decided, Selection, select
from operators.tabulate import tabulate
from operators.validate import ModelShape
from operators.watch import Policy, Watched, watch
from operators.windows import Panes, References, add_panes, count_rows, fitting
from pipelines import metrics
from pipelines.requesting import Requesting, request
from pipelines.seeds import Seeds
from pipelines.sinks import Delivery, LakeSink, RequestSink
from pipelines.sources import LogSource
from pipelines.states import Keep, keep_rounds, keep_streams, keep_watched, stateful
from schemas import wire
from schemas.tables import DRIFT

BUCKETS: Final = 8


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """All that the flow decides by, as plain values.

    Attributes:
        partitions: of the log.
        limits: of one message.
        clock: how far devices' clocks are believed.
        shapes: what rows of the known models look like.
        references: what the known models were accepted on.
        policy: what counts as drift.
        budget: what may be asked for.
        select_round_us: how often is selected, in log time.
        select_seed: of the control share.
        patience: with devices.
    """

    partitions: int
    limits: wire.Limits
    clock: Clock
    shapes: Mapping[tuple[str, int], ModelShape]
    references: References
    policy: Policy
    budget: Budget
    select_round_us: int
    select_seed: str
    patience: Patience

    @property
    def models(self) -> frozenset[str]:
        """Names of the models that the server has a bundle of: only these have a budget."""
        return frozenset(name for name, _ in self.shapes)

    @property
    def most_candidates(self) -> int:
        """How many candidates of a kind are kept: twice what a round could select at all."""
        share = max(BURST, self.select_round_us / HOUR_US)
        return 2 * math.ceil(self.budget.labels * min(1.0, share))


def build(plan: Plan, source: LogSource, lake: LakeSink, requests: RequestSink, seeds: Seeds) -> Dataflow:
    """The dataflow, ready to run.

    Args:
        plan: all that it decides by.
        source: the log.
        lake: where rows go.
        requests: where questions go.
        seeds: what dedup knows at its first start.
    """
    flow = Dataflow("gleaner")
    records = op.input("log", flow, source)
    decoded = op.map_value("decode", records, lambda r: decode(r, plan.shapes, plan.limits, plan.clock))
    unique = op.map_value("count", stateful("dedup", decoded, partial(_dedup, seeds), keep_streams()), metrics.counted)

    panes = stateful("windows", unique, partial(_windows, plan), keep_panes(plan))
    to_bucket = op.map("to-bucket", panes, _second)
    watched = keep_watched(plan.partitions, plan.policy, plan.references)
    drift = stateful("drift", to_bucket, partial(_drift, plan), watched)

    candidates = stateful("candidates", unique, partial(_candidates, plan), keep_candidates(plan.select_round_us))
    everyone = op.map("to-fleet", candidates, lambda each: ("fleet", each[1]))
    selected = stateful("select", everyone, partial(_select, plan), keep_rounds(plan.partitions, plan.select_round_us))
    chosen = op.map("to-device", selected, _second)
    questions = op.merge("questions", unique, chosen)
    asking = partial(request, plan.patience, plan.select_round_us)
    asked = stateful("requests", questions, asking, Keep(Requesting.of))

    new = op.map_value("new-rows", unique, _new_rows)
    trends = op.map("trend-rows", drift, partial(_trend_rows, plan.partitions))
    answers = op.map_value("answer-rows", asked, lambda each: each.delivery)
    op.output("lake", op.merge("rows", new, trends, answers), lake)
    op.output("devices", op.map_value("questions-out", asked, lambda a: a.send), requests)
    return flow


@dataclass(slots=True)
class Gathering:
    """What one partition has to say of the round it is in.

    Attributes:
        round: the last round that was told; -1 before the first.
        content: gathered since.
    """

    round: int
    content: dict[Any, Any]

    @classmethod
    def of(cls, state: tuple[Any, ...] | None) -> "Gathering":
        """From a snapshot, or empty."""
        return cls(*(state or (-1, {})))

    def snapshot(self) -> tuple[Any, ...]:
        """As plain values."""
        return (self.round, dict(self.content))

    def close(self, tick_us: int | None, round_us: int) -> Iterator[tuple[int, dict[Any, Any]]]:
        """The round that a tick ends, with what was gathered in it, if it ends one."""
        if tick_us is not None and tick_us // round_us > self.round:
            self.round = tick_us // round_us
            content, self.content = self.content, {}
            yield self.round, content


def keep_candidates(round_us: int) -> Keep:
    """How a `Gathering` of candidates is kept: its rounds mean nothing once their length is another."""
    return Keep(Gathering.of, fingerprint=repr(round_us))


def keep_panes(plan: Plan) -> Keep:
    """How a `Gathering` of panes is kept: those of another reference of the same version go."""

    def load(state: tuple[Any, ...] | None) -> Gathering:
        gathering = Gathering.of(state)
        gathering.content = fitting(gathering.content, plan.references)
        return gathering

    return Keep(load, fingerprint=repr((plan.policy.round_us, plan.policy.window_us)))


def _dedup(seeds: Seeds, streams: dict[str, Any], decoded: Decoded) -> Iterator[Unique]:
    if not streams and decoded.partition in seeds:
        streams.update(seeded(seeds.pop(decoded.partition)))
    yield dedup(streams, decoded)


def _windows(plan: Plan, state: Gathering, unique: Unique) -> Iterator[tuple[str, Part[Panes]]]:
    """Panes of the partition's round, to the bucket of each cohort; every bucket hears of every round."""
    add_panes(state.content, count_rows(unique.inferences, plan.references, plan.policy.window_us))
    for number, panes in state.close(unique.tick_us, plan.policy.round_us):
        for bucket in range(BUCKETS):
            own = {key: pane for key, pane in panes.items() if _bucket(key[:3]) == bucket}
            yield f"cohorts-{bucket}", Part(unique.partition, number, unique.tick_us or 0, own)


def _drift(plan: Plan, state: Watched, part: Part[Panes]) -> Iterator[Delivery]:
    rows = watch(state, part, plan.references, plan.policy)
    if rows:
        metrics.drifting(rows)
        yield Delivery(rows=(("drift", tabulate(DRIFT, rows)),))


def _candidates(plan: Plan, state: Gathering, unique: Unique) -> Iterator[Part[dict[str, Candidates]]]:
    found = find_candidates(unique.inferences, unique.partition, plan.select_seed, plan.most_candidates)
    for model in found.keys() & plan.models:
        state.content[model] = merge(state.content.get(model, Candidates()), found[model], plan.most_candidates)
    for number, content in state.close(unique.tick_us, plan.select_round_us):
        yield Part(unique.partition, number, unique.tick_us or 0, content)


def _select(
    plan: Plan, state: tuple[Rounds[dict[str, Candidates]], dict[str, Chosen]], part: Part[dict[str, Candidates]]
) -> Iterator[tuple[str, Decided]]:
    """What each partition's devices are asked for; every partition hears of every round."""
    rounds, chosen = state
    for whole in rounds.add(part):
        end = whole[0].round * plan.select_round_us
        picked: list[Selection] = []
        for model in sorted({model for each in whole for model in each.content}):
            among = Candidates()
            for each in whole:
                among = merge(among, each.content.get(model, Candidates()), plan.most_candidates)
            before = chosen.get(model, Chosen())
            chosen[model], more = select(before, among, model, plan.budget, end - plan.select_round_us, end)
            picked += more
        for partition in range(plan.partitions):
            own = tuple(selection for selection in picked if selection.candidate.partition == partition)
            yield f"{partition:03d}", Decided(end, own)


def _new_rows(unique: Unique) -> Delivery:
    names = ("inferences", "rejects", "gaps", "devices", "feedback")
    return Delivery(rows=tuple((name, getattr(unique, name)) for name in names), acks=unique.acks)


def _trend_rows(partitions: int, keyed: tuple[str, Delivery]) -> tuple[str, Delivery]:
    """Rows of a bucket, to a partition of the lake's writer that is always the same."""
    bucket, delivery = keyed
    return f"{int(bucket.rpartition('-')[2]) % partitions:03d}", delivery


def _second(keyed: tuple[str, Any]) -> Any:
    return keyed[1]


def _bucket(cohort: tuple[str, int, str]) -> int:
    return zlib.crc32("/".join(map(str, cohort)).encode()) % BUCKETS
