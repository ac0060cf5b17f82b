"""Routing: whether the messages that the broker takes reach anybody.

In MQTT 5 a PUBACK says so: 16 means that nobody subscribes, and the message is gone.
In 3.1.1 it says nothing, and only Gleaner's silence tells.
"""

import logging
from dataclasses import dataclass, field
from typing import Final

from schemas.topics import Up

_NO_SUBSCRIBERS: Final = 16
_FAILURE: Final = 128
_OF_RECORDS: Final = (Up.INFERENCES, Up.GAPS, Up.HELLO)

log = logging.getLogger(__name__)


@dataclass(slots=True)
class Routing:
    """What the broker said of the messages of one device.

    Attributes:
        device: its id.
        unrouted: messages that the broker passed on to nobody or refused, since the start.
        lost: those of them that carried records, or said hello, while nobody subscribed.
        heard: whether the last of these had a subscriber.
    """

    device: str
    unrouted: int = 0
    lost: int = 0
    heard: bool = True
    _refused: set[str] = field(default_factory=set)

    def connected(self) -> None:
        """A new connection may be another broker's."""
        self.heard = True

    def note(self, topic: str, code: int, told_as: str) -> None:
        """A message was acknowledged with this code. The first refusal of a topic is told, and its end.

        Args:
            topic: of the message.
            code: of the PUBACK; from 128 on it was refused.
            told_as: the code in words.
        """
        alone = code == _NO_SUBSCRIBERS
        if topic.rpartition("/")[2] in _OF_RECORDS:
            self.heard = not alone
            self.lost += alone
        if not (alone or code >= _FAILURE):
            if topic in self._refused:
                self._refused.remove(topic)
                log.info("%s: the broker passes on %s again", self.device, topic)
            return
        self.unrouted += 1
        if topic not in self._refused:
            self._refused.add(topic)
            log.warning(
                "%s: the broker does not pass on %s: %s; it is kept and sent again", self.device, topic, told_as
            )
