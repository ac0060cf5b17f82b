"""Answers to requests for raw samples: the bytes, or the reason why there are none."""

import logging
from typing import Final

from edge_publisher.ring import Ring
from edge_publisher.uplink import Uplink
from schemas.envelope import MAX_PAYLOAD_BYTES, SCHEMA, seal
from schemas.errors import Rejected
from schemas.messages import read_requests
from schemas.topics import Up
from schemas.wire_pb2 import Request, Sample

MAX_WAITING: Final = 4096
_ENVELOPE_BYTES: Final = 384  # more than a Sample takes without its bytes

log = logging.getLogger(__name__)


class Answers:
    """Answers each request from the ring; asked twice, it answers twice, the same.

    Args:
        ring: the raw samples.
        uplink: where answers go.

    Attributes:
        delivered: answers sent with bytes.
        answered: all answers sent.
    """

    def __init__(self, ring: Ring, uplink: Uplink) -> None:
        self.delivered = 0
        self.answered = 0
        self._ring = ring
        self._uplink = uplink
        self._waiting: dict[bytes, Request] = {}

    def on_requests(self, payload: bytes) -> None:
        """Note what is asked for. Beyond 4,096 unanswered ones the rest is left: Gleaner asks again."""
        try:
            asked = read_requests(payload).requests
        except Rejected as error:
            log.warning("requests are ignored: %s", error)
            return
        for request in asked:
            if len(self._waiting) < MAX_WAITING:
                self._waiting[request.request_id] = request

    def step(self) -> None:
        """Answer what is asked, as far as the link takes it."""
        while self._waiting and self._uplink.connected:
            request = next(iter(self._waiting.values()))
            answer = self._answer(request)
            if not self._uplink.publish(Up.SAMPLES, seal(answer)):
                return
            del self._waiting[request.request_id]
            self.answered += 1
            self.delivered += answer.outcome == "delivered"

    def _answer(self, request: Request) -> Sample:
        answer = Sample(schema=SCHEMA, stream=request.stream, seq=request.seq, request_id=request.request_id)
        raw = self._ring.get(request.sample_digest)
        most = min(MAX_PAYLOAD_BYTES, self._uplink.max_payload_bytes) - _ENVELOPE_BYTES
        if request.max_bytes:
            most = min(most, request.max_bytes)
        if raw is None:
            answer.outcome = "evicted"
        elif len(raw.data) > most:
            answer.outcome = "too_large"
        else:
            answer.outcome, answer.content_type, answer.sample = "delivered", raw.content_type, raw.data
        return answer
