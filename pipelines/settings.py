"""Settings: `gleaner.toml`, then `GLEANER_SECTION__KEY`, then arguments; the last one wins.

Unknown keys are errors. Secrets are read from files or the environment and print as stars.
"""

import os
import tomllib
from collections.abc import Mapping, Sequence
from datetime import timedelta
from pathlib import Path
from typing import Annotated, Any, Final, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, PlainSerializer, SecretStr, ValidationError
from pydantic_settings import BaseSettings, InitSettingsSource, NoDecode, SettingsConfigDict
from pydantic_settings import PydanticBaseSettingsSource as Source

from pipelines.place import Place, place_of
from schemas.envelope import MAX_PAYLOAD_BYTES
from schemas.errors import SettingsError
from schemas.wire import MAX_ROWS

DEFAULT_FILE: Final = "gleaner.toml"
_PREFIX: Final = "GLEANER_"
_LONGEST_SESSION: Final = timedelta(seconds=2**32 - 1)  # what MQTT 5 can say


def _seconds(value: Any) -> Any:
    """A number in text, as the environment gives it, as the number of seconds that it is."""
    try:
        return float(value) if isinstance(value, str) else value
    except ValueError:
        return value


def _names(value: Any) -> Any:
    """Names between commas in text, as the environment gives them, as a list."""
    return [name.strip() for name in value.split(",") if name.strip()] if isinstance(value, str) else value


Seconds = Annotated[
    timedelta,
    BeforeValidator(_seconds),
    Field(gt=timedelta(0)),
    PlainSerializer(lambda value: value.total_seconds(), return_type=float),
]
Count = Annotated[int, Field(ge=1)]
Names = Annotated[tuple[str, ...], NoDecode, BeforeValidator(_names)]
Port = Annotated[int, Field(ge=0, le=65535)]


class _Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, validate_default=True)


class Mqtt(_Section):
    """The broker. `auto` speaks MQTT 5, or 3.1.1 where the broker offers no more."""

    host: str = "127.0.0.1"
    port: Annotated[int, Field(ge=1, le=65535)] = 1883
    protocol: Literal["auto", "5", "3.1.1"] = "auto"
    username: str = ""
    password: SecretStr = SecretStr("")
    password_file: Path | None = None
    ca_file: Path | None = None
    client_id: str = "gleaner"
    session_expiry: Annotated[Seconds, Field(le=_LONGEST_SESSION)] = timedelta(days=7)
    receive_maximum: Annotated[int, Field(ge=1, le=65535)] = 2000
    shards: str = "00-ff"


class Log(_Section):
    """The log between MQTT and the dataflow. `partitions` is fixed when the log is created."""

    path: Path | None = None
    partitions: Annotated[int, Field(ge=1, le=256)] = 4
    commit_records: Count = 1000
    commit_wait: Seconds = timedelta(milliseconds=20)
    tick: Seconds = timedelta(seconds=1)
    keep: Seconds = timedelta(days=3)
    max_bytes: Annotated[int, Field(ge=16 << 20)] = 20 << 30


class Flow(_Section):
    """The dataflow: an epoch is a checkpoint, a file for each partition, and an acknowledgement."""

    workers: Annotated[int, Field(ge=1, le=64)] = 1
    epoch: Seconds = timedelta(seconds=5)
    batch_records: Count = 2048
    batch_bytes: Count = 4 << 20


class Lake(_Section):
    """Where the tables are: a folder, by default in the data folder, or a bucket of an S3 store."""

    path: Path | None = None
    url: str = ""
    endpoint: str = ""
    region: str = "us-east-1"
    access_key: str = ""
    access_key_file: Path | None = None
    secret_key: SecretStr = SecretStr("")
    secret_key_file: Path | None = None
    ca_file: Path | None = None
    staging_bytes: Count = 8 << 30


class Models(_Section):
    """Where the bundles are that the fleet runs, and blessed references; by default folders in the data folder."""

    path: Path | None = None
    references: Path | None = None


class Wire(_Section):
    """What one message may hold, and how far a device's clock is believed."""

    max_payload_bytes: Annotated[int, Field(ge=1024, le=16 << 20)] = MAX_PAYLOAD_BYTES
    max_rows: Annotated[int, Field(ge=1, le=MAX_ROWS)] = MAX_ROWS
    clock_skew: Seconds = timedelta(minutes=1)
    clock_horizon: Seconds = timedelta(days=30)


class Drift(_Section):
    """What is compared in which windows, and how often a healthy fleet may alarm."""

    by: Names = ("site",)
    window: Seconds = timedelta(minutes=10)
    grace: Seconds = timedelta(minutes=1)
    round: Seconds = timedelta(seconds=30)
    horizon: Seconds = timedelta(days=3)
    false_alarm_days: Annotated[float, Field(gt=0)] = 30.0
    max_cohorts: Count = 1024
    first_events: Count = 2000
    silence: Seconds = timedelta(hours=1)
    second_opinions: Names = ()


class Alarms(_Section):
    """Who is told of each change of an alarm."""

    topic: str = "gleaner/v1/fleet/alarms"
    webhook: str = ""
    webhook_secret: SecretStr = SecretStr("")
    webhook_secret_file: Path | None = None


class Select(_Section):
    """What may be asked for in an hour, for each model, and how often is chosen."""

    labels_per_hour: Count = 60
    bytes_per_hour: Count = 64 << 20
    labels_per_device_hour: Count = 10
    control_share: Annotated[float, Field(ge=0, le=1)] = 0.1
    round: Seconds = timedelta(minutes=1)
    seed: str = "gleaner"


class Requests(_Section):
    """How long a device is given to answer, in log time."""

    retry: Seconds = timedelta(minutes=2)
    expire: Seconds = timedelta(days=1)


class Metrics(_Section):
    """Where Prometheus finds ingest and the dataflow; port 0 serves nothing."""

    host: str = "127.0.0.1"
    ingest_port: Port = 9464
    run_port: Port = 9465


class Settings(BaseSettings):
    """All settings of the server. Durations are seconds or ISO 8601, as `PT10M`."""

    model_config = SettingsConfigDict(
        env_prefix=_PREFIX, env_nested_delimiter="__", extra="forbid", frozen=True, validate_default=True
    )

    data_dir: Path = Path("gleaner-data")
    mqtt: Mqtt = Mqtt()
    log: Log = Log()
    flow: Flow = Flow()
    lake: Lake = Lake()
    models: Models = Models()
    wire: Wire = Wire()
    drift: Drift = Drift()
    alarms: Alarms = Alarms()
    select: Select = Select()
    requests: Requests = Requests()
    metrics: Metrics = Metrics()

    @property
    def log_dir(self) -> Path:
        """Folder of the log."""
        return self.log.path or self.data_dir / "log"

    @property
    def recovery_dir(self) -> Path:
        """Folder of the dataflow's recovery store; private."""
        return self.data_dir / "recovery"

    @property
    def staging_dir(self) -> Path:
        """Folder of rows that are not in the lake yet."""
        return self.data_dir / "staging"

    @property
    def lake_place(self) -> Place:
        """Where the lake is; keys are read from their files each time.

        Raises:
            SettingsError: it can't be there, or a key is missing.
        """
        return place_of(self.lake, self.data_dir / "lake")

    @property
    def models_dir(self) -> Path:
        """Folder of bundles."""
        return self.models.path or self.data_dir / "models"

    @property
    def references_dir(self) -> Path:
        """Folder of blessed references."""
        return self.models.references or self.data_dir / "references"


def load(file: Path | None = None, arguments: Sequence[str] = ()) -> Settings:
    """The settings from file, environment and arguments.

    Args:
        file: a TOML file; without one, `gleaner.toml` in this folder if it is there.
        arguments: `section.key=value`, each the same as in the file.

    Raises:
        SettingsError: the file can't be read, or a key or value is wrong.
    """
    _check_environment(os.environ)
    told = _read(file)
    flags: dict[str, Any] = {}
    for argument in arguments:
        _put(flags, argument)

    class WithFile(Settings):
        @classmethod
        def settings_customise_sources(
            cls, settings_cls: type[BaseSettings], init_settings: Source, env_settings: Source, *_: Source, **__: Source
        ) -> tuple[Source, ...]:
            return (init_settings, env_settings, InitSettingsSource(settings_cls, told))

    try:
        return WithFile(**flags)
    except ValidationError as error:
        raise SettingsError(_say(error)) from error


def _read(file: Path | None) -> dict[str, Any]:
    path = file or Path(DEFAULT_FILE)
    if file is None and not path.exists():
        return {}
    try:
        return tomllib.loads(path.read_text())
    except FileNotFoundError as error:
        raise SettingsError(f"{path}: no such settings file") from error
    except (tomllib.TOMLDecodeError, OSError, UnicodeDecodeError) as error:
        raise SettingsError(f"{path}: not readable as TOML: {error}") from error


def _put(flags: dict[str, Any], argument: str) -> None:
    key, equals, value = argument.partition("=")
    if not equals or not key:
        raise SettingsError(f"{argument!r}: say section.key=value, as drift.window=60")
    *sections, last = key.split(".")
    for section in sections:
        flags = flags.setdefault(section, {})
        if not isinstance(flags, dict):
            raise SettingsError(f"{argument!r}: {section} was given a value before and can't have keys")
    flags[last] = value


def _check_environment(environment: Mapping[str, str]) -> None:
    """Raise unless each of our variables names a setting, or a key of a section that `Settings` then looks for."""
    for name in environment:
        if not name.startswith(_PREFIX):
            continue
        first, *key = name.removeprefix(_PREFIX).lower().split("__")
        about = Settings.model_fields.get(first)
        if about is None or bool(key) != isinstance(about.default, _Section):
            raise SettingsError(f"{name}: no such setting; `gleaner config` lists them all")


def _say(error: ValidationError) -> str:
    """One sentence for each wrong setting."""
    told = []
    for each in error.errors():
        key = ".".join(str(part) for part in each["loc"])
        unknown = each["type"] == "extra_forbidden"
        told.append(f"{key}: no such setting; `gleaner config` lists them all" if unknown else f"{key}: {each['msg']}")
    return "; ".join(told)
