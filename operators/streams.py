"""Streams: what is known of each device's streams, within bounds that no device can pass.

A device makes a new stream whenever its outbox was lost, and goes on with the newest.
So an old one keeps only which of its numbers have arrived; fingerprints are kept for
the few streams that a device used last.
"""

from collections.abc import MutableMapping
from dataclasses import dataclass, field
from itertools import islice
from typing import Final

from operators.forks import Prints
from operators.seen import Ranges, Seen, admit

MAX_STREAMS: Final = 4096
MAX_AHEAD: Final = 1024
NEWEST: Final = 8
MAX_WORDS: Final = 64
_NOTHING: Final = Seen()


@dataclass(slots=True)
class Stream:
    """One stream of a device.

    Attributes:
        seen: which numbers have arrived.
        prints: what the newest of them held; None where other streams are newer.
    """

    seen: Seen = _NOTHING
    prints: Prints | None = None


@dataclass(slots=True)
class Device:
    """All streams of one device.

    Attributes:
        streams: by name, those with fingerprints last; at most `MAX_STREAMS`.
        ahead: ranges beyond a hole, of all of them together; at most `MAX_AHEAD`, beyond
            what it began with.
        words: digests of what was said of its inferences last, at most `MAX_WORDS`.
    """

    streams: dict[str, Stream] = field(default_factory=dict)
    ahead: int = 0
    words: tuple[bytes, ...] = ()

    def refuses(self, name: str) -> bool:
        """Whether it has had so many streams that no further one is followed."""
        return name not in self.streams and len(self.streams) >= MAX_STREAMS

    def admit(self, name: str, first: int, last: int) -> tuple[Stream, Seen, Ranges]:
        """Take note that `first … last` arrived.

        Returns:
            The stream, what had arrived of it before, and which numbers are new.
        """
        stream = self.streams.get(name)
        if stream is None:
            stream = Stream()
            self.freshen(name, stream)
        before = stream.seen
        after, new = admit(before, first, last)
        grown = len(after.ahead) - len(before.ahead)
        if grown > 0 and self.ahead + grown > MAX_AHEAD:
            return stream, before, ()
        self.ahead += grown
        stream.seen = after
        return stream, before, new

    def repeats(self, word: bytes) -> bool:
        """Whether this was among what was said last; it is from now on."""
        if word in self.words:
            return True
        self.words = (*self.words, word)[-MAX_WORDS:]
        return False

    def freshen(self, name: str, stream: Stream) -> Prints:
        """Make a stream the newest: it has fingerprints from now on, and the one that was used longest ago has none."""
        self.streams.pop(name, None)
        self.streams[name] = stream
        stream.prints = fresh = Prints()
        for older in islice(reversed(self.streams.values()), NEWEST, NEWEST + 1):
            older.prints = None
        return fresh


Streams = MutableMapping[str, Device]
