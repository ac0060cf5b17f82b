"""The settings of a device, read from one TOML file; an unknown key is an error.

Every key is in the table of docs/device.md, with its default.
"""

import tomllib
from collections.abc import Mapping
from dataclasses import MISSING, dataclass, field, fields, replace
from pathlib import Path
from types import UnionType
from typing import Any, Final, TypeVar, get_args, get_origin, get_type_hints

from schemas.attributes import attributes_fault
from schemas.envelope import MAX_PAYLOAD_BYTES
from schemas.errors import SettingsError
from schemas.topics import is_device_id, is_name
from schemas.wire import MAX_ROWS

PROTOCOLS: Final = ("auto", "5", "3.1.1")
T = TypeVar("T")


@dataclass(frozen=True, slots=True, kw_only=True)
class BrokerSettings:
    """Where the broker is, and how patient the link is."""

    host: str = "localhost"
    port: int = 1883
    protocol: str = "auto"
    keepalive_s: int = 30
    session_expiry_s: int = 7 * 86_400
    max_in_flight: int = 20
    backoff_first_s: float = 0.5
    backoff_most_s: float = 60.0
    password_file: str = ""
    ca_file: str = ""
    cert_file: str = ""
    key_file: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class SendingSettings:
    """When and how much is sent."""

    batch_rows: int = 64
    batch_seconds: float = 5.0
    payload_bytes: int = MAX_PAYLOAD_BYTES
    ack_timeout_s: float = 10.0
    max_unacknowledged: int = 16_384
    status_seconds: float = 60.0


@dataclass(frozen=True, slots=True, kw_only=True)
class StorageSettings:
    """What the device may keep."""

    outbox_bytes: int = 64 << 20
    ring_bytes: int = 256 << 20


@dataclass(frozen=True, slots=True, kw_only=True)
class SensorSettings:
    """The directory of samples that `run` reads."""

    directory: str = ""
    rate_hz: float = 1.0
    repeat: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class DeviceSettings:
    """Everything `gleaner-edge run` needs; `read_settings` makes paths relative to the file they stand in."""

    device: str
    site: str
    bundle: str
    folder: str
    sensor: SensorSettings = field(default_factory=SensorSettings)
    broker: BrokerSettings = field(default_factory=BrokerSettings)
    sending: SendingSettings = field(default_factory=SendingSettings)
    storage: StorageSettings = field(default_factory=StorageSettings)
    attributes: Mapping[str, str] = field(default_factory=dict)


def read_settings(path: Path) -> DeviceSettings:
    """The settings in a TOML file.

    Raises:
        SettingsError: no such file, no TOML, an unknown key or an impossible value.
    """
    try:
        raw = tomllib.loads(path.read_text())
    except (OSError, ValueError) as error:
        raise SettingsError(f"{path}: can't be read: {error}") from error
    settings = filled(DeviceSettings, raw, str(path))
    check_device(settings.device, settings.site, str(path))
    check_attributes(settings.attributes, str(path))
    check_broker(settings.broker, str(path))
    check_sending(settings.sending, str(path))
    demand(0 < settings.sensor.rate_hz < 1e6, str(path), "sensor.rate_hz must be above 0")
    demand(bool(settings.sensor.directory), str(path), "the setting 'sensor.directory' is missing")
    return _beside(path.parent, settings)


def _beside(here: Path, settings: DeviceSettings) -> DeviceSettings:
    """The settings with every path taken from the folder `here`."""
    broker = settings.broker
    named = ("password_file", "ca_file", "cert_file", "key_file")
    files: dict[str, Any] = {name: str(here / getattr(broker, name)) for name in named if getattr(broker, name)}
    return replace(
        settings,
        bundle=str(here / settings.bundle),
        folder=str(here / settings.folder),
        sensor=replace(settings.sensor, directory=str(here / settings.sensor.directory)),
        broker=replace(broker, **files),
    )


def check_device(device: str, site: str, where: str) -> None:
    """Raise `SettingsError` unless `device` and `site` can stand in topics and paths."""
    demand(is_device_id(device), where, f"device {device!r} must be 1 to 63 of a-z, 0-9 and inner -")
    demand(is_name(site), where, f"site {site!r} must be 1 to 63 of a-z, 0-9, _ and -")


def check_attributes(attributes: Mapping[str, str], where: str) -> None:
    """Raise `SettingsError` unless the server would take them in a hello."""
    fault = attributes_fault(attributes)
    demand(fault is None, where, f"attributes: {fault}")


def check_broker(broker: BrokerSettings, where: str) -> None:
    """Raise `SettingsError` where a value is out of range."""
    demand(0 < broker.port < 65_536, where, "broker.port must be 1 to 65535")
    demand(broker.protocol in PROTOCOLS, where, f"broker.protocol must be one of {', '.join(PROTOCOLS)}")
    demand(0 < broker.keepalive_s < 65_536, where, "broker.keepalive_s must be 1 to 65535")
    demand(0 <= broker.session_expiry_s < 2**32, where, "broker.session_expiry_s must be 0 to 2^32 - 1")
    demand(0 < broker.max_in_flight < 65_536, where, "broker.max_in_flight must be 1 to 65535")
    ordered = 0 < broker.backoff_first_s <= broker.backoff_most_s
    demand(ordered, where, "broker.backoff_first_s must be above 0 and not above backoff_most_s")


def check_sending(sending: SendingSettings, where: str) -> None:
    """Raise `SettingsError` where a value is out of range."""
    demand(0 < sending.batch_rows <= MAX_ROWS, where, f"sending.batch_rows must be 1 to {MAX_ROWS}")
    sized = 1024 <= sending.payload_bytes <= MAX_PAYLOAD_BYTES
    demand(sized, where, f"sending.payload_bytes must be 1024 to {MAX_PAYLOAD_BYTES}")
    demand(sending.max_unacknowledged >= sending.batch_rows, where, "sending.max_unacknowledged is below batch_rows")
    for name in ("batch_seconds", "ack_timeout_s", "status_seconds"):
        demand(0 < getattr(sending, name) < 1e6, where, f"sending.{name} must be above 0")


def filled(kind: type[T], raw: Any, where: str) -> T:
    """A settings class from a table; tables inside become the classes of their fields, lists become tuples.

    Raises:
        SettingsError: an unknown or missing key, or a value of another type; the text names it.
    """
    if not isinstance(raw, Mapping):
        raise SettingsError(f"{where}: must be a table")
    known = {each.name: each for each in fields(kind)}  # type: ignore[arg-type]
    for key in raw:
        demand(key in known, where, f"unknown setting {key!r}; known are {', '.join(known)}")
    for name, each in known.items():
        needed = each.default is MISSING and each.default_factory is MISSING
        demand(name in raw or not needed, where, f"the setting {name!r} is missing")
    hints = get_type_hints(kind)
    return kind(**{key: _value(hints[key], value, f"{where}: {key}") for key, value in raw.items()})


def _value(kind: Any, value: Any, where: str) -> Any:
    if isinstance(kind, type) and hasattr(kind, "__dataclass_fields__"):
        return filled(kind, value, where)
    if get_origin(kind) is tuple:
        if not isinstance(value, list):
            raise SettingsError(f"{where}: must be a list")
        return tuple(_value(get_args(kind)[0], each, f"{where}[{place}]") for place, each in enumerate(value))
    if get_origin(kind) is Mapping:
        if not isinstance(value, dict):
            raise SettingsError(f"{where}: must be a table")
        return {name: _value(get_args(kind)[1], each, f"{where}.{name}") for name, each in value.items()}
    if get_origin(kind) is UnionType:
        return None if value is None else _value(get_args(kind)[0], value, where)
    if kind is float and type(value) is int:
        return float(value)
    if isinstance(kind, type) and type(value) is not kind:
        raise SettingsError(f"{where}: must be {kind.__name__}, not {value!r}")
    return value


def demand(ok: bool, where: str, what: str) -> None:
    """Raise `SettingsError` with `where` and `what` unless `ok`."""
    if not ok:
        raise SettingsError(f"{where}: {what}")
