"""Settings: the last one wins, key by key; what is not known or out of range is an error that names it."""

import itertools
from datetime import timedelta
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import settings as hypothesis
from hypothesis import strategies as st

from pipelines.settings import Settings, load
from schemas.errors import SettingsError

SECRET = "correct horse"
SOURCES = ("file", "environment", "argument")


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working folder without a settings file."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


def written(folder: Path, text: str) -> Path:
    file = folder / "some.toml"
    file.write_text(text)
    return file


@pytest.mark.parametrize("told", [t for n in range(4) for t in itertools.combinations(SOURCES, n)])
def test_arguments_win_over_the_environment_and_that_over_the_file(
    told: tuple[str, ...], folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    values = {"file": 11, "environment": 12, "argument": 13}
    file = written(folder, "[drift]\nwindow = 11" if "file" in told else "")
    if "environment" in told:
        monkeypatch.setenv("GLEANER_DRIFT__WINDOW", "12")
    found = load(file, ["drift.window=13"] if "argument" in told else [])
    assert found.drift.window.total_seconds() == (values[told[-1]] if told else 600)


def test_sources_mix_within_a_section(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = written(folder, "[drift]\nwindow = 1\ngrace = 1\nround = 1\n")
    monkeypatch.setenv("GLEANER_DRIFT__GRACE", "2")
    drift = load(file, ["drift.round=3", "drift.first_events=4"]).drift
    assert [x.total_seconds() for x in (drift.window, drift.grace, drift.round)] == [1, 2, 3]
    assert drift.first_events == 4
    assert drift.max_cohorts == Settings().drift.max_cohorts


def test_the_last_of_two_arguments_wins() -> None:
    assert load(arguments=["mqtt.port=1", "mqtt.port=2"]).mqtt.port == 2


def test_the_file_of_the_working_folder_is_read_unless_another_is_named(folder: Path) -> None:
    (folder / "gleaner.toml").write_text("[mqtt]\nport = 7")
    assert load().mqtt.port == 7
    assert load(written(folder, "")).mqtt.port == 1883


@pytest.mark.parametrize(
    ("text", "key"),
    [
        ("colour = 1", "colour"),
        ("[paint]\ncolour = 1", "paint"),
        ("[drift]\nwindw = 1", "drift.windw"),
        ("[drift.window]\nminutes = 1", "drift.window"),
        ("drift = 1", "drift"),
    ],
)
def test_a_key_that_is_not_known_in_the_file_is_named(text: str, key: str, folder: Path) -> None:
    with pytest.raises(SettingsError) as caught:
        load(written(folder, text))
    assert str(caught.value).startswith(f"{key}:")


@pytest.mark.parametrize(
    ("argument", "key"),
    [
        ("colour=1", "colour"),
        ("paint.colour=1", "paint"),
        ("drift.windw=1", "drift.windw"),
        ("data_dir.x=1", "data_dir"),
        ("drift=1", "drift"),
        ("drift.=1", "drift."),
    ],
)
def test_a_key_that_is_not_known_in_an_argument_is_named(argument: str, key: str) -> None:
    with pytest.raises(SettingsError) as caught:
        load(arguments=[argument])
    assert str(caught.value).startswith(f"{key}:")


@pytest.mark.parametrize(
    ("name", "key"),
    [
        ("GLEANER_COLOUR", "GLEANER_COLOUR"),
        ("GLEANER_", "GLEANER_"),
        ("GLEANER_PAINT__COLOUR", "GLEANER_PAINT__COLOUR"),
        ("GLEANER_DRIFT", "GLEANER_DRIFT"),
        ("GLEANER_DATA_DIR__X", "GLEANER_DATA_DIR__X"),
        ("GLEANER_DRIFT__WINDW", "drift.windw"),
        ("GLEANER_DRIFT__WINDOW__X", "drift.window"),
    ],
)
def test_a_key_that_is_not_known_in_the_environment_is_named(
    name: str, key: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(name, "1")
    with pytest.raises(SettingsError) as caught:
        load()
    assert key in str(caught.value)


def test_other_variables_do_not_matter(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GLEANERS", "1")
    monkeypatch.setenv("DRIFT__WINDOW", "1")
    assert load().model_dump() == Settings().model_dump()


@pytest.mark.parametrize("argument", ["drift.window", "", "=5", "drift.window:5"])
def test_an_argument_without_a_key_and_a_value_is_refused(argument: str) -> None:
    with pytest.raises(SettingsError, match=r"say section\.key=value"):
        load(arguments=[argument])


def test_a_section_can_not_be_a_value_too() -> None:
    with pytest.raises(SettingsError, match="drift was given a value"):
        load(arguments=["drift=5", "drift.window=60"])


@hypothesis(deadline=None, max_examples=50)
@given(st.integers(1, 10**15))
def test_durations_are_seconds_in_the_file_and_in_text(microseconds: int) -> None:
    duration = timedelta(microseconds=microseconds)
    text = f"{microseconds // 10**6}.{microseconds % 10**6:06d}"
    assert abs(load(arguments=[f"log.keep={text}"]).log.keep - duration) <= timedelta(microseconds=1)


@pytest.mark.parametrize(
    ("text", "seconds"), [("PT10M", 600), ("P1D", 86_400), ("PT1H30M", 5400), ("PT0.5S", 0.5), ("0.25", 0.25)]
)
def test_durations_are_iso_8601_too(text: str, seconds: float, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert load(arguments=[f"drift.window={text}"]).drift.window.total_seconds() == seconds
    assert load(written(folder, f'[drift]\nwindow = "{text}"')).drift.window.total_seconds() == seconds
    monkeypatch.setenv("GLEANER_DRIFT__WINDOW", text)
    assert load().drift.window.total_seconds() == seconds


@pytest.mark.parametrize(
    "argument",
    [
        "drift.window=0",
        "drift.window=-1",
        "drift.window=1e-9",
        "drift.window=nan",
        "drift.window=inf",
        "drift.window=soon",
        "drift.false_alarm_days=0",
        "drift.false_alarm_days=nan",
        "drift.max_cohorts=0",
        "mqtt.port=65536",
        "mqtt.port=0",
        "mqtt.port=1.5",
        "mqtt.protocol=4",
        "mqtt.receive_maximum=0",
        "mqtt.session_expiry=4294967296",
        "metrics.run_port=-1",
        "log.partitions=0",
        "log.partitions=257",
        "select.control_share=1.1",
        "select.control_share=nan",
        "wire.max_payload_bytes=1023",
        "wire.max_rows=4097",
        "flow.workers=65",
    ],
)
def test_a_value_out_of_range_is_refused_by_name(argument: str) -> None:
    with pytest.raises(SettingsError) as caught:
        load(arguments=[argument])
    assert str(caught.value).startswith(f"{argument.partition('=')[0]}: ")
    assert "\n" not in str(caught.value)


def test_every_wrong_setting_is_told_at_once() -> None:
    with pytest.raises(SettingsError, match=r"^mqtt\.port: .*; log\.colour: no such setting.*; drift\.window: "):
        load(arguments=["mqtt.port=x", "drift.window=0", "log.colour=red"])


@pytest.mark.parametrize("content", [b"data_dir = ", b"[drift\n", b"\xff\xfe", b"[drift]\nwindow = 1\nwindow = 2\n"])
def test_a_file_that_is_no_toml_is_refused_by_name(content: bytes, folder: Path) -> None:
    (folder / "broken.toml").write_bytes(content)
    with pytest.raises(SettingsError, match=r"broken\.toml: not readable as TOML"):
        load(Path("broken.toml"))


def test_a_file_that_is_not_there_is_refused_by_name(folder: Path) -> None:
    with pytest.raises(SettingsError, match=r"none\.toml: no such settings file"):
        load(Path("none.toml"))
    with pytest.raises(SettingsError, match="not readable"):
        load(folder)


@pytest.mark.parametrize("source", SOURCES)
def test_a_password_prints_nowhere(source: str, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = written(folder, f'[mqtt]\npassword = "{SECRET}"' if source == "file" else "")
    if source == "environment":
        monkeypatch.setenv("GLEANER_MQTT__PASSWORD", SECRET)
    found = load(file, [f"mqtt.password={SECRET}"] if source == "argument" else [])
    assert found.mqtt.password.get_secret_value() == SECRET
    for shown in (repr(found), str(found), str(found.model_dump()), found.model_dump_json()):
        assert SECRET not in shown
        assert "**" in shown


def test_a_password_does_not_print_in_the_error_for_another_setting(folder: Path) -> None:
    file = written(folder, f'[mqtt]\npassword = ["{SECRET}"]\nport = "{SECRET}"\n')
    with pytest.raises(SettingsError) as caught:
        load(file)
    assert SECRET not in str(caught.value)


def test_folders_follow_the_data_folder_unless_they_are_named() -> None:
    found = load(arguments=["data_dir=/d"])
    assert [found.log_dir, found.recovery_dir, found.staging_dir, found.lake_place, found.models_dir] == [
        Path("/d") / name for name in ("log", "recovery", "staging", "lake", "models")
    ]
    moved = load(arguments=["data_dir=/d", "lake.path=/l", "models.path=/m"])
    assert (moved.lake_place, moved.models_dir) == (Path("/l"), Path("/m"))


def test_settings_can_not_be_changed_once_they_are_read() -> None:
    with pytest.raises(ValueError, match="frozen"):
        load().mqtt.port = 5
