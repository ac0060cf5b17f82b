"""The errors of Gleaner, by what the program does next.

::

    GleanerError
    ├── Rejected            quarantine: the message or row becomes a row of `rejects`
    ├── InputError          stop, exit 2: the caller must change something
    │   ├── SettingsError       a setting is unknown, missing or out of range
    │   ├── BundleError         a model bundle is damaged or does not fit its model
    │   └── LakeError           the lake or log folder is not there or not writable
    ├── Unavailable         retry with backoff: the other side is not there now
    │   └── BrokerUnavailable
    ├── Refused             give up: the other side is there and will not take it
    └── Fatal               stop, exit 2: going on could lose or double data
        ├── LockHeld            another process owns this outbox, log or flow
        └── UnsafeFolder        others may write to a folder that must be private

Every error carries plain data and survives pickling; its text says what to do.
"""

from enum import StrEnum


class Reason(StrEnum):
    """Why a message or a row was rejected. One reason, one word, for ever."""

    BAD_TOPIC = "bad_topic"
    WRONG_SHARD = "wrong_shard"
    OVERSIZE = "oversize"
    MALFORMED = "malformed"
    CRC_MISMATCH = "crc_mismatch"
    SCHEMA_NEWER = "schema_newer"
    BAD_SHAPE = "bad_shape"
    BAD_NAME = "bad_name"
    NOT_FINITE = "not_finite"
    OUT_OF_RANGE = "out_of_range"
    UNKNOWN_CLASS = "unknown_class"
    EMBEDDING_MISMATCH = "embedding_mismatch"
    TOO_MANY_STREAMS = "too_many_streams"
    UNASKED = "unasked"
    DIGEST_MISMATCH = "digest_mismatch"
    FORK = "fork"


class GleanerError(Exception):
    """Every error that Gleaner raises on purpose."""


class Rejected(GleanerError):
    """A message or row that can't be used; it becomes a row with its reason.

    Attributes:
        reason: the closed set of causes.
        detail: a short sentence for a person, without payload bytes.
    """

    def __init__(self, reason: Reason, detail: str) -> None:
        super().__init__(reason, detail)
        self.reason = reason
        self.detail = detail

    def __str__(self) -> str:
        return f"{self.reason}: {self.detail}"


class InputError(GleanerError):
    """Something the caller gave is wrong; the text says what to change."""


class SettingsError(InputError):
    """A setting is unknown, missing or out of range."""


class BundleError(InputError):
    """A model bundle is damaged, incomplete or does not fit its model."""


class LakeError(InputError):
    """A folder of the lake or the log is missing or not writable."""


class Unavailable(GleanerError):
    """The other side is not there now; try again with backoff."""


class BrokerUnavailable(Unavailable):
    """No MQTT broker answers at the address, or it refused the connection."""


class Refused(GleanerError):
    """The other side is there and will not take it, however often it is asked; the text says what to change."""


class Fatal(GleanerError):
    """Going on could lose or double data; stop and let a person look."""


class LockHeld(Fatal):
    """Another process already owns this folder."""


class UnsafeFolder(Fatal):
    """A private folder belongs to, or can be written by, somebody else."""
