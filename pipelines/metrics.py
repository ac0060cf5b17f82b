"""Metrics: what Prometheus and `gleaner status` can see. Served on loopback only."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import structlog
from prometheus_client import Counter, Gauge, start_http_server

from operators.dedup import Unique
from pipelines.alarming import Alarming
from pipelines.settings import Metrics
from schemas.errors import Reason, SettingsError

log = structlog.get_logger()
CONNECTED = Gauge("gleaner_connected", "1 while this process is connected to the broker")
LOGGED = Counter("gleaner_logged_messages", "Messages on disk in the log")
LOG_BYTES = Gauge("gleaner_log_bytes", "What the partitions of this process take on disk")
LOG_FULL = Gauge("gleaner_log_full", "1 while nothing is taken from the broker, since the log has reached its quota")
LOG_SKIPPED = Counter("gleaner_log_skipped_offsets", "Offsets of the log that are damaged and were skipped")
SESSIONS_LOST = Counter("gleaner_sessions_lost", "Sessions that the broker has lost, with what it held")
INFERENCES = Counter("gleaner_inferences", "Inferences that are new and sound")
DUPLICATES = Counter("gleaner_duplicates", "Inferences that had been seen before")
FORKS = Counter("gleaner_forks", "Inferences under numbers that others have, as after an outbox was restored")
DEFERRED = Counter("gleaner_deferred", "Inferences too far out of order to be taken yet")
REJECTS = Counter("gleaner_rejects", "Rows of rejects", ["reason"])
GAPS = Counter("gleaner_gaps", "Gaps that devices declared")
ALARMS = Counter("gleaner_alarms", "Changes of alarms, by the state they came to", ["state"])
WINDOWS_JUDGED = Counter("gleaner_windows_judged", "Windows that closed and were judged")
UNWATCHED = Counter("gleaner_unwatched_cohorts", "Cohorts that there was no room to watch, each once a round")
WINDOWS_AMENDED = Counter("gleaner_windows_amended", "Windows that were judged again, since rows came later")
NOTICES = Counter("gleaner_notices", "Notices of alarms: told, refused, or dropped", ["target", "outcome"])
NOTICES_WAITING = Gauge("gleaner_notices_waiting", "Notices that somebody is still to be told")
SELECTIONS = Counter("gleaner_selections", "Selections by what became of them", ["status"])
COMMITTED = Gauge("gleaner_committed_offset", "Offset up to which a partition is committed", ["partition"])
STAGED = Gauge("gleaner_staged_bytes", "Bytes of rows on local disk that are not in the lake yet")
STORE_AWAY = Gauge("gleaner_store_away", "1 while the lake's store takes no rows")
FILES = Counter("gleaner_published_files", "Files published to the lake", ["table"])
ACKS = Counter("gleaner_acks", "Acknowledgements sent to devices")
_SHOWN = Alarming()


def serve(metrics: Metrics, port: int) -> None:
    """Serve the metrics, unless the port is 0.

    Raises:
        SettingsError: the port is taken.
    """
    if not port:
        return
    try:
        start_http_server(port, addr=metrics.host)
    except OSError as error:
        raise SettingsError(
            f"metrics: {metrics.host}:{port}: {error.strerror}; choose another port, or 0 for none"
        ) from error


def counted(unique: Unique) -> Unique:
    """The batch itself, once what it holds is counted; forks are said, since somebody restored a device's disk."""
    if unique.forks:
        devices = sorted({row["device"] for row in unique.rejects.to_pylist() if row["reason"] == Reason.FORK})
        log.error("numbers that name two records; both are kept", records=unique.forks, devices=devices[:10])
    INFERENCES.inc(unique.inferences.num_rows)
    DUPLICATES.inc(unique.duplicates)
    FORKS.inc(unique.forks)
    DEFERRED.inc(unique.deferred)
    GAPS.inc(unique.gaps.num_rows)
    for reason in unique.rejects["reason"].to_pylist():
        REJECTS.labels(reason).inc()
    return unique


def alarmed(rows: Sequence[Mapping[str, Any]]) -> None:
    """Count changes of alarms and show what they lead to.

    Args:
        rows: of the table `alarms`, in the order of their changes; each change once.
    """
    for row in rows:
        ALARMS.labels(str(row["state"])).inc()
    show_alarms(rows)


def show_alarms(rows: Iterable[Mapping[str, Any]]) -> None:
    """Show which cohorts alarm, and count nothing: for the alarms that stand when the flow starts."""
    for row in rows:
        _SHOWN.show(row)


def unwatched(cohorts: int) -> None:
    """Say that there was no room to watch some cohorts in a round; their rows are in the lake all the same."""
    if cohorts:
        UNWATCHED.inc(cohorts)
        log.warning("more cohorts than drift.max_cohorts: some are not watched", cohorts=cohorts)


def judged(rows: Iterable[Mapping[str, Any]]) -> None:
    """Count windows, and show the evidence of the newest of them where a cohort alarms.

    Args:
        rows: of the table `windows`.
    """
    for row in sorted(rows, key=lambda row: int(row["window_start"])):
        if row["revision"]:
            WINDOWS_AMENDED.inc()
        else:
            WINDOWS_JUDGED.inc()
            _SHOWN.judge(row)
