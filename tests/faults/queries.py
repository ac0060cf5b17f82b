"""What must not be, as queries: each gives a text for every finding.

`led` is the ledger, a row for each record that was to be handed over; `inf`, `rej`, `gap`
and `fate` are the lake (`tests.faults.fates`).
"""

from typing import Final

from tests.faults.ledger import ACCEPTED, REFUSED

_RECORD: Final = "l.device || '/' || l.n || ' (' || coalesce(l.stream[:8], '?') || ' ' || coalesce(l.seq, -1) || ')'"
_NUMBER: Final = "device || '/' || stream[:8] || ' ' || seq"
LOST: Final = f"""
    select {_RECORD}, digest from led l where outcome = {ACCEPTED} and not excused
    and not exists (from inf i where i.device = l.device and i.digest = l.digest)
    and not exists (from fate f where f.device = l.device and f.stream = l.stream and f.seq = l.seq
                    and f.fate <> 'inference')"""
FINDINGS: Final = {
    "doubled": (
        f"select {_RECORD} from led l join inf i using (device, digest) group by all having count(*) > 1",
        f"select {_NUMBER} || ' ' || list(fate)::varchar from fate group by device, stream, seq having count(*) > 1",
    ),
    "invented": (
        f"""select {_NUMBER} from inf i where device in (select device from led)
        and not exists (from led l where l.device = i.device and l.digest = i.digest)""",
        """select distinct 'rows of ' || device from inf
        where device not in (select device from led) and device not like 'garbage%'""",
        f"""with unmade as (
            select device, count(*) as unmade from fate f
            anti join led l on f.device = l.device and f.stream = l.stream and f.seq = l.seq
            where f.fate <> 'inference' and f.device not in (select device from led where by_digest) group by all),
        unknown as (select device, count(*) filter (outcome <> {ACCEPTED}) as unknown from led group by all)
        select unmade || ' fates of no record: ' || device from unmade join unknown using (device)
        where unmade > unknown""",
    ),
    "altered": (
        f"""select {_RECORD} from led l join inf i using (device, digest)
        where i.sample_bytes <> l.size or i.device_time <> l.time
        or (not by_digest and (i.stream <> l.stream or i.seq <> l.seq))""",
        f"""select {_RECORD} from led l
        join inf i on i.device = l.device and i.stream = l.stream and i.seq = l.seq
        where i.digest <> l.digest and not by_digest""",
    ),
    "refused_but_present": (
        f"select {_RECORD} from led l join inf i using (device, digest) where outcome = {REFUSED}",
    ),
    "rejected_though_sound": (
        """select device || '/' || stream[:8] || ' ' || first_seq || ' ' || reason from rej
        where reason <> 'fork' and first_seq is not null and device in (select device from led)""",
    ),
}
"""Kind of finding → queries; each gives one text for what is wrong."""
