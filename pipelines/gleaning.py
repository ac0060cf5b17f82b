"""THE dataflow: from the log to the lake, and back to the devices.

::

    log ─▶ decode ─▶ dedup ─┬──────────────────────────────────────▶ lake ─▶ acks
                            ├─▶ windows ─▶ drift ─▶ alarms ────────┬─▶ lake
                            │                                      └─▶ notices
                            ├─▶ candidates ─▶ select ─▶ requests ─┬─▶ lake
                            └────────── samples ──────▶ ▲         └─▶ devices

Everything is keyed by log partition, but for `drift` (by bucket of cohorts), `alarms` and
`select` (one key each: false alarms and budgets are the fleet's), which wait until all
partitions have told a round. No step reads a clock: time is what the ticks in the log say.
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
from operators.fleet import Fleet, Turns, decide
from operators.gather import Gathered, gather
from operators.notices import Notice, notices
from operators.requests import Patience
from operators.rounds import Part, Rounds
from operators.select import Chosen, Decided, Selection, select
from operators.tabulate import tabulate
from operators.validate import ModelShape
from operators.watch import Policy, References, Told, Verdict, Watched, watch
from operators.windows import Counting
from pipelines import metrics
from pipelines.notifying import NoticeSink
from pipelines.requesting import Requesting, request
from pipelines.seeds import Seeds
from pipelines.sinks import Delivery, LakeSink, RequestSink
from pipelines.sources import LogSource
from pipelines.states import Keep, keep_fleet, keep_gathered, keep_rounds, keep_streams, keep_watched, stateful
from schemas import wire
from schemas.tables import ALARMS, DRIFT, WINDOWS

BUCKETS: Final = 8
FIRST: Final = "000"
"""The partition of each sink that takes what belongs to none."""


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
    def counting(self) -> Counting:
        """How rows are counted into windows."""
        return Counting(scales=self.references.scales, levels=self.policy.levels, window_us=self.policy.window_us)

    @property
    def most_candidates(self) -> int:
        """How many candidates of a kind are kept: twice what a round could select at all."""
        share = max(BURST, self.select_round_us / HOUR_US)
        return 2 * math.ceil(self.budget.labels * min(1.0, share))


def build(
    plan: Plan, source: LogSource, lake: LakeSink, requests: RequestSink, people: NoticeSink, seeds: Seeds
) -> Dataflow:
    """The dataflow, ready to run.

    Args:
        plan: all that it decides by.
        source: the log.
        lake: where rows go.
        requests: where questions go.
        people: who is told of alarms.
        seeds: what dedup knows at its first start.
    """
    flow = Dataflow("gleaner")
    records = op.input("log", flow, source)
    decoded = op.map_value("decode", records, lambda r: decode(r, plan.shapes, plan.limits, plan.clock))
    unique = op.map_value("count", stateful("dedup", decoded, partial(_dedup, seeds), keep_streams()), metrics.counted)

    counting = plan.counting
    told = stateful(
        "windows", unique, partial(_windows, plan, counting), keep_gathered(plan.policy, counting, plan.clock)
    )
    to_bucket = op.map("to-bucket", told, _second)
    judged = stateful("drift", to_bucket, partial(_drift, plan), keep_watched(plan.partitions, plan.policy))
    to_fleet = op.map("to-fleet", judged, _to_fleet)
    alarms = stateful("alarms", to_fleet, partial(_alarms, plan), keep_fleet(BUCKETS, plan.policy))

    candidates = stateful("candidates", unique, partial(_candidates, plan), keep_candidates(plan.select_round_us))
    everyone = op.map("to-budget", candidates, lambda each: ("budget", each[1]))
    selected = stateful("select", everyone, partial(_select, plan), keep_rounds(plan.partitions, plan.select_round_us))
    chosen = op.map("to-device", selected, _second)
    questions = op.merge("questions", unique, chosen)
    asking = partial(request, plan.patience, plan.select_round_us)
    asked = stateful("requests", questions, asking, Keep(Requesting.of))

    new = op.map_value("new-rows", unique, _new_rows)
    trends = op.map("trend-rows", judged, partial(_trend_rows, plan.partitions))
    turns = op.map("alarm-rows", alarms, lambda each: (FIRST, _alarm_rows(each[1].rows)))
    answers = op.map_value("answer-rows", asked, lambda each: each.delivery)
    op.output("lake", op.merge("rows", new, trends, turns, answers), lake)
    op.output("devices", op.map_value("questions-out", asked, lambda a: a.send), requests)
    said = op.map("notices", alarms, lambda each: (FIRST, tuple(notices(each[1].told))))
    epochs = op.map_value("nothing-new", asked, _no_notices)  # each part of a sink needs an item in each epoch
    op.output("people", op.merge("notices-out", said, epochs), people)
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


def _dedup(seeds: Seeds, streams: dict[str, Any], decoded: Decoded) -> Iterator[Unique]:
    if not streams and decoded.partition in seeds:
        streams.update(seeded(seeds.pop(decoded.partition)))
    yield dedup(streams, decoded)


def _windows(plan: Plan, counting: Counting, state: Gathered, unique: Unique) -> Iterator[tuple[str, Part[Told]]]:
    """What the partition has to say of a round, to the bucket of each cohort; every bucket hears of every round."""
    by_class = [level.name for level in counting.levels if level.by_class]  # their cohorts lie in several buckets
    for number, told in gather(state, unique, counting, plan.policy):
        for bucket in range(BUCKETS):
            own = Told(
                {key: pane for key, pane in told.panes.items() if _bucket(key[:4]) == bucket},
                {key: until for key, until in told.watermarks.items() if key[2] in by_class or _bucket(key) == bucket},
                told.silences if bucket == 0 else (),
            )
            yield f"cohorts-{bucket}", Part(unique.partition, number, own)


def _drift(plan: Plan, state: Watched, part: Part[Told]) -> Iterator[Verdict]:
    most = math.ceil(plan.policy.max_cohorts / BUCKETS)
    for verdict in watch(state, part, plan.references, plan.policy, most):
        metrics.judged(verdict.windows)
        metrics.unwatched(verdict.refused)
        yield verdict


def _to_fleet(keyed: tuple[str, Verdict]) -> tuple[str, Part[Any]]:
    bucket, verdict = keyed
    return "fleet", Part(_number(bucket), verdict.round, verdict.judged)


def _alarms(plan: Plan, state: Fleet, part: Part[Any]) -> Iterator[Turns]:
    for turns in decide(state, part, plan.policy):
        if turns.rows:
            metrics.alarmed(turns.told)
            yield turns


def _candidates(plan: Plan, state: Gathering, unique: Unique) -> Iterator[Part[dict[str, Candidates]]]:
    found = find_candidates(unique.inferences, unique.partition, plan.select_seed, plan.most_candidates)
    for model in found.keys() & plan.models:
        state.content[model] = merge(state.content.get(model, Candidates()), found[model], plan.most_candidates)
    for number, content in state.close(unique.tick_us, plan.select_round_us):
        yield Part(unique.partition, number, content)


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


def _trend_rows(partitions: int, keyed: tuple[str, Verdict]) -> tuple[str, Delivery]:
    """Rows of a bucket, to a partition of the lake's writer that is always the same."""
    bucket, verdict = keyed
    rows = [("windows", tabulate(WINDOWS, verdict.windows))] if verdict.windows else []
    rows += [("drift", tabulate(DRIFT, verdict.drift))] if verdict.drift else []
    return f"{_number(bucket) % partitions:03d}", Delivery(rows=tuple(rows))


def _alarm_rows(rows: list[dict[str, Any]]) -> Delivery:
    return Delivery(rows=(("alarms", tabulate(ALARMS, rows)),))


def _no_notices(_: Any) -> tuple[Notice, ...]:
    return ()


def _number(bucket: str) -> int:
    return int(bucket.rpartition("-")[2])


def _second(keyed: tuple[str, Any]) -> Any:
    return keyed[1]


def _bucket(cohort: tuple[str, int, str, str]) -> int:
    return zlib.crc32("/".join(map(str, cohort)).encode()) % BUCKETS
