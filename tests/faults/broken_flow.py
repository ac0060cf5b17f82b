"""Mutants of the dataflow's order: what is published, committed, acknowledged and read again, and when."""

import os
from collections.abc import Callable
from typing import Any

from tests.faults.wrapping import wrap


def acks_before_durable() -> None:
    from pipelines import publisher

    def make(original: Callable[..., Any]) -> Callable[..., Any]:
        def submit(self: Any, partition: int, upto: Any, acks: Any) -> None:
            publisher.send_acks(self._commands, acks.items())
            original(self, partition, upto, {})

        return submit

    wrap(publisher.Publisher, "submit", make)


def claims_more() -> None:
    from dataclasses import replace

    from pipelines import publisher

    def make(original: Callable[..., Any]) -> Callable[..., Any]:
        def send_acks(commands: Any, acks: Any) -> None:
            original(commands, [(key, replace(seen, through=seen.through + 3, ahead=())) for key, seen in acks])

        return send_acks

    wrap(publisher, "send_acks", make)


def admits_repeats() -> None:
    from operators import streams

    def make(original: Callable[..., Any]) -> Callable[..., Any]:
        def admit(seen: Any, first: int, last: int) -> Any:
            return original(seen, first, last)[0], ((first, last),)

        return admit

    wrap(streams, "admit", make)


def forgets_what_arrived() -> None:
    from pipelines import gleaning
    from pipelines.states import Keep

    gleaning.keep_streams = lambda *_: Keep(lambda _: {}, lambda state: state)  # type: ignore[assignment]


def swaps_devices() -> None:
    from operators import decode
    from schemas.topics import Origin

    other = {"cam-a1": "cam-b1", "cam-b1": "cam-a1"}

    def make(original: Callable[..., Any]) -> Callable[..., Any]:
        def parse_up(topic: str) -> Origin:
            origin = original(topic)
            return Origin(other.get(origin.device, origin.device), origin.kind)

        return parse_up

    wrap(decode, "parse_up", make)


def reads_from(offset: Callable[[int], int]) -> Callable[[], None]:
    def break_it() -> None:
        from pipelines.sources import LogSource

        def make(original: Callable[..., Any]) -> Callable[..., Any]:
            def build_part(self: Any, step_id: str, for_part: str, resume_state: int | None) -> Any:
                return original(self, step_id, for_part, None if resume_state is None else offset(resume_state))

            return build_part

        wrap(LogSource, "build_part", make)

    return break_it


def heals_without_filter() -> None:
    from pipelines.healing import Healing

    Healing.leave_out = lambda self, tables: tables  # type: ignore[method-assign, assignment]


def rolls_back_committed() -> None:
    from pipelines.lake import Lake

    wrap(Lake, "roll_back", lambda original: lambda self, partition, _: original(self, partition, 0))


def publishes_uncommitted() -> None:
    from pipelines.sinks import LakePart

    def make(original: Callable[..., Any]) -> Callable[..., Any]:
        def snapshot(self: Any) -> int:
            seq: int = original(self)
            lake = self._sink.lake
            for folder in lake._folders(self._partition):
                for path in sorted(folder.rglob("*.parquet")):
                    lake.store.put_new(path.relative_to(folder).as_posix(), path)
            return seq

        return snapshot

    wrap(LakePart, "snapshot", make)


def names_by_life() -> None:
    """The name of a file says which life of the dataflow published it."""
    from pipelines.lake import Lake

    def make(original: Callable[..., Any]) -> Callable[..., Any]:
        def opened(self: Any, store: Any, staging: Any) -> None:
            put_new = store.put_new
            store.put_new = lambda name, source: put_new(name.replace("part-", f"part-{os.getpid()}-"), source)
            original(self, store, staging)

        return opened

    wrap(Lake, "__init__", make)
