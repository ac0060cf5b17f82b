"""Mutants: ways to break the code on purpose, so that the check proves that it can see them.

Each function changes the code of the process that it is installed in, and nothing on disk.
"""

from collections.abc import Callable
from typing import Final

from tests.faults import broken_ends, broken_flow, broken_rows


def install(name: str, kind: str) -> None:
    """Break what the mutant breaks, where this kind of process has it."""
    if name and BREAKS[name][0] == kind:
        BREAKS[name][1]()


BREAKS: Final[dict[str, tuple[str, Callable[[], None]]]] = {
    "log-forgets-messages": ("ingest", broken_ends.log_forgets_messages),
    "puback-before-log": ("ingest", broken_ends.puback_before_log),
    "drops-rows": ("run", broken_rows.drops_rows),
    "alters-digests": ("run", broken_rows.alters_digests),
    "alters-samples": ("run", broken_rows.alters_samples),
    "swallows-rejects": ("run", broken_rows.swallows("rejects")),
    "swallows-gaps": ("run", broken_rows.swallows("gaps")),
    "ends-nothing": ("run", broken_rows.ends_nothing),
    "rolls-back-committed": ("run", broken_flow.rolls_back_committed),
    "publishes-uncommitted": ("run", broken_flow.publishes_uncommitted),
    "acks-before-durable": ("run", broken_flow.acks_before_durable),
    "claims-more": ("run", broken_flow.claims_more),
    "admits-repeats": ("run", broken_flow.admits_repeats),
    "forgets-what-arrived": ("run", broken_flow.forgets_what_arrived),
    "swaps-devices": ("run", broken_flow.swaps_devices),
    "skips-records": ("run", broken_flow.reads_from(lambda offset: offset + 80)),
    "reads-again": ("run", broken_flow.reads_from(lambda _: 0)),
    "heals-without-filter": ("run", broken_flow.heals_without_filter),
    "names-by-life": ("run", broken_flow.names_by_life),
    "frees-when-sent": ("devices", broken_ends.frees_when_sent),
    "reuses-stream": ("devices", broken_ends.reuses_stream),
    "sheds-silently": ("devices", broken_ends.sheds_silently),
}
"""Name → the kind of process that is broken, and how."""
