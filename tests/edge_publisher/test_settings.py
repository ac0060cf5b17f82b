from dataclasses import fields, is_dataclass
from pathlib import Path

import pytest

from edge_publisher.settings import DeviceSettings, read_settings
from edge_publisher.simulation.fleet_settings import DeviceSpec, FleetSettings, read
from schemas.errors import SettingsError

DOCS = Path(__file__).parents[2] / "docs" / "device.md"
LEAST = 'device = "cam-1"\nsite = "north"\nbundle = "model"\nfolder = "state"\nsensor.directory = "samples"\n'


def written(tmp_path: Path, text: str) -> Path:
    file = tmp_path / "device.toml"
    file.write_text(text)
    return file


def test_what_is_not_said_has_its_default(tmp_path: Path) -> None:
    settings = read_settings(written(tmp_path, LEAST + "[sending]\nbatch_seconds = 2\n"))
    assert (settings.device, settings.broker.port, settings.sending.batch_rows) == ("cam-1", 1883, 64)
    assert settings.sending.batch_seconds == 2.0


def test_attributes_are_what_the_owner_says(tmp_path: Path) -> None:
    assert read_settings(written(tmp_path, LEAST)).attributes == {}
    settings = read_settings(written(tmp_path, LEAST + '[attributes]\nlens = "wide"\nhousing = "IP 67/b"\n'))
    assert settings.attributes == {"lens": "wide", "housing": "IP 67/b"}


def test_paths_are_relative_to_the_file(tmp_path: Path) -> None:
    text = LEAST + '[broker]\npassword_file = "secret"\nca_file = "/etc/ca.pem"\n'
    settings = read_settings(written(tmp_path, text))
    assert [settings.bundle, settings.folder] == [str(tmp_path / "model"), str(tmp_path / "state")]
    assert [settings.sensor.directory, settings.broker.password_file] == [
        str(tmp_path / "samples"),
        str(tmp_path / "secret"),
    ]
    assert (settings.broker.ca_file, settings.broker.key_file) == ("/etc/ca.pem", "")


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "'device' is missing"),
        (LEAST + "colour = 1", "unknown setting 'colour'; known are device"),
        (LEAST + "[broker]\nhots = 1", "unknown setting 'hots'; known are host"),
        (LEAST + "broker = 1", "must be a table"),
        (LEAST + "[broker]\nport = '1'", "port: must be int"),
        (LEAST + "[broker]\nport = 0", "port must be 1 to 65535"),
        (LEAST + "[broker]\nprotocol = '4'", "protocol must be one of auto, 5, 3.1.1"),
        (LEAST + "[broker]\nbackoff_first_s = 100", "not above backoff_most_s"),
        (LEAST + "[sending]\nbatch_rows = 0", "batch_rows must be 1"),
        (LEAST + "[sending]\nbatch_seconds = nan", "batch_seconds must be above 0"),
        (LEAST + "sensor.repeat = 1", "repeat: must be bool"),
        (LEAST + "sensor.rate_hz = 0", "rate_hz must be above 0"),
        (
            LEAST.replace("sensor.directory", "sensor.rate_hz").replace('"samples"', "1"),
            "'sensor.directory' is missing",
        ),
        (LEAST.replace("cam-1", "Cam 1"), "device 'Cam 1' must be"),
        (LEAST + "attributes = 1", "attributes: must be a table"),
        (LEAST + "[attributes]\nlens = 1", "attributes.lens: must be str, not 1"),
        (LEAST + '[attributes]\nLens = "wide"', "attributes: names of attributes are a letter"),
        (LEAST + '[attributes]\nlens = "a\\tb"', "attributes: values of attributes are printable"),
        (LEAST + "[attributes]\n" + "".join(f'a{each} = ""\n' for each in range(17)), "17 attributes, at most 16"),
        (LEAST.replace("north", "../x"), "site '../x' must be"),
        ("device = ", "can't be read"),
    ],
)
def test_a_wrong_setting_is_named(tmp_path: Path, text: str, words: str) -> None:
    with pytest.raises(SettingsError, match=words):
        read_settings(written(tmp_path, text))
    with pytest.raises(SettingsError, match="no-such-file"):
        read_settings(tmp_path / "no-such-file")


FLEET = '{"bundle": "b", "images": "i", "dir": "d", "duration_s": 5, "devices": [%s]}'
CAMERA = '{"device": "cam-1", "site": "north"%s}'


@pytest.mark.parametrize(
    ("device", "words"),
    [
        ("", "needs devices"),
        (CAMERA % "" + "," + CAMERA % "", "more than one device is called cam-1"),
        (CAMERA % ', "kind": "toaster"', "kind must be one of camera, garbage"),
        (CAMERA % ', "effects": [{"effect": "fog"}]', "effect must be one of blur"),
        (CAMERA % ', "effects": [{"effect": "blur", "strength": 2}]', "strength must be 0 to 1"),
        (CAMERA % ', "effects": {}', "effects: must be a list"),
        (CAMERA % ', "link": {"drop": 1}', "must be 0 to below 1"),
        (CAMERA % ', "link": {"lose": 1}', "unknown setting 'lose'"),
        (CAMERA % ', "rate_hz": 0', "rate_hz must be above 0"),
        (CAMERA % ', "attributes": {"lens": 3}', "attributes.lens: must be str, not 3"),
        (CAMERA % ', "attributes": {"9": "x"}', "cam-1: attributes: names of attributes"),
        (CAMERA % ', "offline": [{"to_s": 1}]', "'from_s' is missing"),
    ],
)
def test_a_wrong_setting_of_a_fleet_is_named(tmp_path: Path, device: str, words: str) -> None:
    file = tmp_path / "fleet.json"
    file.write_text(FLEET % device)
    with pytest.raises(SettingsError, match=words):
        read(file)


def test_null_and_numbers_without_a_point_are_read(tmp_path: Path) -> None:
    file = tmp_path / "fleet.json"
    offline = ', "link": null, "offline": [{"from_s": 1, "to_s": null}, {"from_s": 1, "to_s": 2}]'
    file.write_text(FLEET % (CAMERA % (offline + ', "attributes": {"lens": "wide"}')))
    spec = read(file).devices[0]
    assert spec.link is None
    assert spec.attributes == {"lens": "wide"}
    assert [each.to_s for each in spec.offline] == [None, 2.0]


def names(kind: type) -> set[str]:
    found = {each.name for each in fields(kind)}
    for each in fields(kind):
        if isinstance(each.default_factory, type) and is_dataclass(each.default_factory):
            found |= names(each.default_factory)
    return found


def test_every_setting_is_in_the_documentation() -> None:
    text = DOCS.read_text()
    missing = [
        name for kind in (DeviceSettings, FleetSettings, DeviceSpec) for name in names(kind) if f"`{name}`" not in text
    ]
    assert not missing
