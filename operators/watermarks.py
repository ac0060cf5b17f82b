"""Watermarks: up to which event time each device has told everything, from its numbers without holes.

A device numbers its records in the order in which it made them. Once all numbers up to one have
arrived, so has everything that the device made before the time of that record. Numbers that were
rejected or given up count as arrived: nothing more comes of them.

All of it follows from the set of messages, not from their order: the time of the last row below the
first hole, in the device's newest stream. Where a clock was stepped back, so is the watermark: rows
of times before it may still come. Times are those of the column `time`, which is held near the receipt
where a clock is off; there the first delivery decides.
"""

from collections.abc import Container, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

import numpy as np
import pyarrow as pa

from operators.cohorts import Cohort, Level
from operators.hellos import MAX_DEVICES, Known
from operators.runs import message_starts, times_of, words_at
from operators.seen import Seen
from operators.tracks import Mark, Track

NEWEST: Final = 8
"""Streams, and places of work, of a device that are followed: those with the newest times."""
Home = tuple[str, str, int]
"""(site, model, model version)"""
IN_HAND_US: Final = 5_000_000
"""A record has its time before the model has run, and its number after: so much of a device's word is not relied on."""


@dataclass(slots=True)
class Progress:
    """All that is followed of one device.

    Attributes:
        received_us: when something of it was logged last.
        tracks: its newest streams, at most `NEWEST`.
        homes: where it ran which model → time of its latest row there, at most `NEWEST`.
    """

    received_us: int = -1
    tracks: dict[str, Track] = field(default_factory=dict)
    homes: dict[Home, int] = field(default_factory=dict)

    @property
    def through_us(self) -> int:
        """That of the stream that lived last; -1 where there is none."""
        newest = max(self.tracks, key=lambda name: (self.tracks[name].newest_us, name), default=None)
        return -1 if newest is None else self.tracks[newest].through_us

    def track(self, stream: str, time_us: int) -> Track | None:
        """A stream that lived at a time; None where newer ones take all the places."""
        track = self.tracks.get(stream)
        if track is None:
            track = self.tracks[stream] = Track()
        track.newest_us = max(track.newest_us, time_us)
        if len(self.tracks) > NEWEST:
            del self.tracks[min(self.tracks, key=lambda name: (self.tracks[name].newest_us, name))]
        return self.tracks.get(stream)

    def work(self, home: Home, time_us: int) -> None:
        """Note a row of a place of work."""
        self.homes[home] = max(time_us, self.homes.get(home, time_us))
        if len(self.homes) > NEWEST:
            del self.homes[min(self.homes, key=lambda home: (self.homes[home], home))]


@dataclass(slots=True)
class Watermarks:
    """The devices of one log partition.

    Attributes:
        devices: at most `MAX_DEVICES`; there is no waiting for any other.
    """

    devices: dict[str, Progress] = field(default_factory=dict)

    def advance(self, rows: pa.RecordBatch, said: pa.RecordBatch, acks: Mapping[tuple[str, str], Seen]) -> None:
        """Take in what a batch brought; costs a step for each message, not for each row.

        Args:
            rows: new rows, columns of `inferences`.
            said: hellos and statuses, columns of `devices`.
            acks: (device, stream) → what has arrived, for every stream that the batch touched.
        """
        marks = self._rows(rows)
        self._words(said)
        for (device, stream), seen in acks.items():
            progress = self._progress(device)
            track = progress and progress.track(stream, -1)
            if track:
                track.settle(seen, marks.get((device, stream), ()))

    def through_us(self, device: str) -> int:
        """The time before which everything of a device arrived; -1 where that can't be said of any."""
        progress = self.devices.get(device)
        return progress.through_us if progress else -1

    def home(self, device: str) -> Home | None:
        """Where the device's latest row, by event time, comes from."""
        progress = self.devices.get(device)
        return max(progress.homes, key=lambda home: (progress.homes[home], home), default=None) if progress else None

    def complete(self, levels: Sequence[Level], known: Known, silent: Container[str] = ()) -> dict[Cohort, int]:
        """The time before which everything of a cohort arrived, for each that has devices; -1 as above.

        Cohorts by class have `*` for it (`Level.of_any_class`): what a device may still tell may be of any class. A
        device counts wherever it had rows.

        Args:
            levels: that cut cohorts.
            known: what devices said of themselves.
            silent: devices that are not waited for.
        """
        least: dict[Cohort, int] = {}
        for device, progress in self.devices.items():
            if not progress.homes or device in silent:
                continue
            through, facts = progress.through_us, known.now(device)
            for site, model, version in progress.homes:
                for level in levels:
                    key = (model, version, level.name, level.of_device(device, site, facts))
                    least[key] = min(through, least.get(key, through))
        return least

    def forget(self, before_us: int) -> None:
        """Forget devices of which nothing was logged since a time."""
        for device in [name for name, progress in self.devices.items() if progress.received_us < before_us]:
            del self.devices[device]

    def snapshot(self) -> tuple[Any, ...]:
        """As plain values, in columns: it is stored often."""
        each = list(self.devices.values())
        tracks = [(place, name, track) for place, one in enumerate(each) for name, track in one.tracks.items()]
        numbers = [(place, t.newest_us, t.through, *t.settled, *t.word) for place, _, t in tracks]
        places = {home: place for place, home in enumerate(dict.fromkeys(home for one in each for home in one.homes))}
        homes = [(place, places[home], us) for place, one in enumerate(each) for home, us in one.homes.items()]
        return (
            tuple(self.devices),
            np.array([one.received_us for one in each], np.int64),
            tuple(name for _, name, _ in tracks),
            np.array(numbers, np.int64).reshape(-1, 7),
            tuple((place, track.ahead) for place, (_, _, track) in enumerate(tracks) if track.ahead),
            tuple(places),
            np.array(homes, np.int64).reshape(-1, 3),
        )

    @classmethod
    def of(cls, state: tuple[Any, ...] | None) -> "Watermarks":
        """What `snapshot` gave, or the empty state."""
        if state is None:
            return cls()
        names, received, streams, numbers, ahead, places, homes = state
        each = [Progress(us) for us in received.tolist()]
        beyond = dict(ahead)
        for at, (stream, (place, newest, through, *marks)) in enumerate(zip(streams, numbers.tolist(), strict=True)):
            settled, word = (marks[0], marks[1]), (marks[2], marks[3])
            each[place].tracks[stream] = Track(newest, through, settled, beyond.get(at, ()), word)
        for place, home, us in homes.tolist():
            each[place].homes[places[home]] = us
        return cls(dict(zip(names, each, strict=True)))

    def _rows(self, rows: pa.RecordBatch) -> dict[tuple[str, str], list[Mark]]:
        """Note each message's rows; gives the last row of each, by stream."""
        marks: dict[tuple[str, str], list[Mark]] = {}
        latest: dict[tuple[str, str, Home], tuple[int, int]] = {}
        for device, stream, home, received, newest, mark in _messages(rows):
            marks.setdefault((device, stream), []).append(mark)
            before = latest.get((device, stream, home), (received, newest))
            latest[device, stream, home] = (max(received, before[0]), max(newest, before[1]))
        for (device, stream, home), (received, newest) in latest.items():
            progress = self._progress(device)
            if progress is not None:
                progress.received_us = max(progress.received_us, received)
                progress.work(home, newest)
                progress.track(stream, newest)
        return marks

    def _words(self, said: pa.RecordBatch) -> None:
        """Note up to which number each device said to have made records, and when."""
        columns = [said[name].to_pylist() for name in ("device", "stream", "next_seq")]
        times = (times_of(said, name).tolist() for name in ("device_time", "received"))
        for device, stream, next_seq, device_us, received in zip(*columns, *times, strict=True):
            progress = self._progress(device)
            if progress is not None:
                progress.received_us = max(progress.received_us, received)
                time = min(device_us, received) - IN_HAND_US  # no row to come has a time before it
                track = progress.track(stream, time)
                if track:
                    track.word = max(track.word, (next_seq - 1, time))

    def _progress(self, device: str) -> Progress | None:
        if device not in self.devices and len(self.devices) >= MAX_DEVICES:
            return None
        return self.devices.setdefault(device, Progress())


def _messages(rows: pa.RecordBatch) -> Iterable[tuple[str, str, Home, int, int, Mark]]:
    """For each message its device, stream, home, receipt, latest time, and its last row's number and time."""
    if not rows.num_rows:
        return ()
    starts = message_starts(rows)
    ends = np.append(starts[1:], rows.num_rows) - 1
    device, stream, site, model = (words_at(rows[name], ends) for name in ("device", "stream", "site", "model"))
    version, seq = (rows[name].to_numpy()[ends].tolist() for name in ("model_version", "seq"))
    time = times_of(rows)
    homes, marks = zip(site, model, version, strict=True), zip(seq, time[ends].tolist(), strict=True)
    received, newest = times_of(rows, "received")[ends].tolist(), np.maximum.reduceat(time, starts).tolist()
    return zip(device, stream, homes, received, newest, marks, strict=True)
