"""Hellos: what each device last said of itself, for cohorts by hardware, agent or attribute."""

from dataclasses import dataclass, field
from typing import Any, Final

import pyarrow as pa
import pyarrow.compute as pc

MAX_DEVICES: Final = 100_000
"""Devices of one log partition that are followed; what others say of themselves stays unknown."""
UNKNOWN: Final = "unknown"


@dataclass(frozen=True, slots=True)
class Facts:
    """What a hello says of a device.

    Attributes:
        hardware, agent: as in the message.
        attributes: (name, value), sorted.
    """

    hardware: str = ""
    agent: str = ""
    attributes: tuple[tuple[str, str], ...] = ()

    def value(self, part: str) -> str:
        """What `hardware`, `agent` or `attributes.NAME` is, with `_` for `/`; `unknown` where it was not said."""
        name = part.removeprefix("attributes.")
        said = dict(self.attributes).get(name, "") if name != part else getattr(self, part)
        return str(said).replace("/", "_") or UNKNOWN


_NOTHING: Final = Facts()


@dataclass(slots=True)
class Known:
    """The last hello of each device of one log partition.

    A row belongs to what its device had said before it *in the log*: so a batch that holds a hello
    between rows gives the same cohorts as two batches that were cut there.

    Attributes:
        devices: device → what it said last; at most `MAX_DEVICES`.
        earlier: for the devices that changed their word in the batch at hand: (log offset, facts) in order,
            the first with the offset -1.
    """

    devices: dict[str, Facts] = field(default_factory=dict)
    earlier: dict[str, list[tuple[int, Facts]]] = field(default_factory=dict)

    def learn(self, rows: pa.RecordBatch) -> None:
        """Take in a batch of `devices`, before the rows of the same batch are told apart; call it for every batch."""
        self.earlier = {}
        if not rows.num_rows:
            return
        hellos = rows.filter(pc.equal(rows["event"], "hello"))
        columns = (hellos[name].to_pylist() for name in ("log_offset", "device", "hardware", "agent", "attributes"))
        for offset, device, hardware, agent, attributes in sorted(zip(*columns, strict=True)):
            self._note(device, offset, Facts(hardware, agent, tuple(attributes)))

    def now(self, device: str) -> Facts:
        """What a device has said by the end of the batch at hand."""
        return self.devices.get(device, _NOTHING)

    def at(self, device: str, offset: int) -> Facts:
        """What a device had said before the record `offset` of the batch at hand."""
        history = self.earlier.get(device)
        if history is None:
            return self.now(device)
        return next(facts for since, facts in reversed(history) if since < offset)

    def snapshot(self) -> tuple[Any, ...]:
        """As plain values: each distinct word once."""
        words = {facts: place for place, facts in enumerate(dict.fromkeys(self.devices.values()))}
        plain = tuple((facts.hardware, facts.agent, facts.attributes) for facts in words)
        return (plain, tuple(self.devices), tuple(words[facts] for facts in self.devices.values()))

    @classmethod
    def of(cls, state: tuple[Any, ...] | None) -> "Known":
        """What `snapshot` gave, or the empty state."""
        plain, devices, places = state or ((), (), ())
        words = [Facts(hardware, agent, attributes) for hardware, agent, attributes in plain]
        return cls({device: words[place] for device, place in zip(devices, places, strict=True)})

    def _note(self, device: str, offset: int, facts: Facts) -> None:
        before = self.devices.get(device)
        if facts == before or (before is None and len(self.devices) >= MAX_DEVICES):
            return
        self.earlier.setdefault(device, [(-1, before or _NOTHING)]).append((offset, facts))
        self.devices[device] = facts
