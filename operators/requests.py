"""Requests: each selection from asking to its end.

A request is repeated until it is answered, because neither the question nor the answer
is safe on the way; the device answers each in the same way. It ends as delivered (the
bytes hash to the digest that came with the inference), refused (the device says why)
or expired. Time is log time: a dataflow that was down lets no request expire, since the
answers wait in the log before the ticks; while ingest is down, time passes unheard.
"""

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from operators.decode import Receipt, Refusal
from operators.select import Selection
from operators.tabulate import day_of
from schemas.errors import Reason, Rejected
from schemas.wire_pb2 import Sample


@dataclass(frozen=True, slots=True, kw_only=True)
class Patience:
    """How long an answer is waited for, in log time.

    Attributes:
        retry_us: until the request is sent again.
        expire_us: until it is given up.
    """

    retry_us: int
    expire_us: int


@dataclass(frozen=True, slots=True)
class Request:
    """A selection that is not answered yet.

    Attributes:
        selection: what is asked for.
        next_us: log time at which to ask again.
        expires_us: log time at which to give up.
    """

    selection: Selection
    next_us: int
    expires_us: int


@dataclass(frozen=True, slots=True)
class Heard:
    """A reply, or a tick (no receipt), at a log time."""

    time_us: int
    partition: int
    receipt: Receipt | None = None


Open = dict[bytes, Request]


def ask(
    requests: Open, selections: Iterable[Selection], patience: Patience
) -> tuple[list[Request], list[dict[str, Any]]]:
    """Open a request for each selection.

    Args:
        requests: the open ones, by id; updated in place. As many as the budget selects
            in `expire_us`.
        selections: new ones; one that is open already is left as it is.
        patience: how long to wait.

    Returns:
        the requests to send, and rows of `selections`.
    """
    send, rows = [], []
    for selection in selections:
        if selection.request_id in requests:
            continue
        request = Request(selection, selection.time_us + patience.retry_us, selection.time_us + patience.expire_us)
        requests[selection.request_id] = request
        send.append(request)
        rows.append(selection_row(selection, "requested", "", selection.time_us))
    return send, rows


def tick(requests: Open, time_us: int, patience: Patience) -> tuple[list[Request], list[dict[str, Any]]]:
    """The requests to send again at `time_us`, and rows of `selections` for those that expired."""
    expired = [r for r in requests.values() if r.expires_us <= time_us]
    rows = [selection_row(r.selection, "expired", "no answer in time", time_us) for r in expired]
    for request in expired:
        del requests[request.selection.request_id]
    due = [r for r in requests.values() if r.next_us <= time_us]
    for request in due:
        requests[request.selection.request_id] = replace(request, next_us=time_us + patience.retry_us)
    return due, rows


@dataclass(frozen=True, slots=True)
class Answer:
    """What a reply amounts to: rows of `selections` and `samples`, or a refusal."""

    selections: tuple[dict[str, Any], ...] = ()
    samples: tuple[dict[str, Any], ...] = ()
    refusal: Refusal | None = None


def answer(requests: Open, partition: int, receipt: Receipt, reply: Sample, ended: Mapping[bytes, None]) -> Answer:
    """What a device's reply amounts to.

    Args:
        requests: the open ones; the answered one leaves them.
        partition: of the log.
        receipt: who replied, and when.
        reply: the message.
        ended: ids of requests that ended a while ago; a reply to one is a repeat.
    """
    request = requests.get(reply.request_id)
    if request is None and reply.request_id in ended:
        return Answer()
    if request is None or request.selection.candidate.row["device"] != receipt.device:
        return Answer(refusal=Refusal(receipt, Rejected(Reason.UNASKED, "nobody asked this device for this sample")))
    selection = request.selection
    announced = selection.candidate.row["sample_bytes"]
    if reply.outcome == "delivered" and len(reply.sample) > announced:
        error = Rejected(Reason.OVERSIZE, f"{len(reply.sample)} bytes, {announced} were announced and paid for")
        return Answer(refusal=Refusal(receipt, error))
    if reply.outcome == "delivered" and _digest(reply) != selection.candidate.row["sample_digest"]:
        error = Rejected(Reason.DIGEST_MISMATCH, "not the sample that the inference was made of")
        return Answer(refusal=Refusal(receipt, error))
    del requests[reply.request_id]
    if reply.outcome != "delivered":
        return Answer(selections=(selection_row(selection, "refused", reply.outcome, receipt.received_us),))
    done = selection_row(selection, "delivered", "", receipt.received_us)
    return Answer(selections=(done,), samples=(_sample_row(selection, partition, receipt, reply),))


def _digest(reply: Sample) -> bytes:
    return hashlib.sha256(reply.sample).digest()


def _shared(selection: Selection, time_us: int) -> dict[str, Any]:
    row = selection.candidate.row
    copied = {name: row[name] for name in ("device", "stream", "seq", "site", "model_version", "sample_digest")}
    return copied | {
        "date": day_of(time_us),
        "model": selection.model,
        "request_id": selection.request_id.hex(),
        "strategy": selection.strategy,
    }


def selection_row(selection: Selection, status: str, detail: str, time_us: int) -> dict[str, Any]:
    """A row of `selections`: what became of one at `time_us`."""
    return _shared(selection, time_us) | {
        "status": status,
        "detail": detail,
        "score": selection.candidate.score,
        "probability": selection.probability,
        "sample_bytes": selection.candidate.row["sample_bytes"],
        "changed": time_us,
    }


def _sample_row(selection: Selection, partition: int, receipt: Receipt, reply: Sample) -> dict[str, Any]:
    return _shared(selection, receipt.received_us) | {
        "content_type": reply.content_type,
        "sample": reply.sample,
        "received": receipt.received_us,
        "log_partition": partition,
        "log_offset": receipt.offset,
    }
