"""Whether every selection ends, once, and what was delivered is what was asked for."""

from typing import Final

from tests.faults.fates import Fates

_QUERIES: Final = {
    "selection_without_one_end": """
        select request_id, list(status) from selections group by 1
        having count(*) filter (status = 'requested') <> 1 or count(*) filter (status <> 'requested') <> 1""",
    "delivered_without_sample": """
        select request_id, 'no row of samples' from selections where status = 'delivered'
        and request_id not in (select request_id from samples)
        union all
        select request_id, 'not delivered' from samples
        where request_id not in (select request_id from selections where status = 'delivered')""",
    "sample_altered": """
        select s.request_id, s.device || '/' || s.seq from samples s
        where sha256(s.sample) <> lower(hex(s.sample_digest))
        or not exists (from led l where l.device = s.device and l.digest = s.sample_digest)""",
}


def unsound_selections(fates: Fates) -> dict[str, list[str]]:
    """Kind of finding → what is wrong."""
    return {kind: [f"{row}" for row in fates.ask(query)] for kind, query in _QUERIES.items()}
