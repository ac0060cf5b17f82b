"""Connecting to the broker: version, session, credentials, and what went wrong."""

import time
from contextlib import nullcontext
from pathlib import Path
from typing import Any, Final

import paho.mqtt.client as paho
from paho.mqtt.enums import CallbackAPIVersion, MQTTErrorCode, MQTTProtocolVersion
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties
from paho.mqtt.reasoncodes import ReasonCode

from pipelines.settings import Mqtt
from pipelines.stop import Stop
from schemas.errors import BrokerUnavailable, SettingsError

KEEPALIVE_S: Final = 30
_MAX_QUEUED: Final = 10_000
_MAX_PACKET_BYTES: Final = 32 << 20  # twice what wire.max_payload_bytes may be; a packet may have 256 MB
_HANDSHAKE_S: Final = 5.0
_VERSIONS: Final = {
    "auto": (MQTTProtocolVersion.MQTTv5, MQTTProtocolVersion.MQTTv311),
    "5": (MQTTProtocolVersion.MQTTv5,),
    "3.1.1": (MQTTProtocolVersion.MQTTv311,),
}


def open_client(
    mqtt: Mqtt, client_id: str, *, manual_ack: bool = False, keep_session: bool = False, stop: Stop | None = None
) -> paho.Client:
    """A client that is connected; its network loop is not started yet.

    Args:
        mqtt: where the broker is and how to speak to it.
        client_id: also the user name where none is set.
        manual_ack: whether received messages are acknowledged by hand.
        keep_session: whether the broker keeps subscriptions and queue while the client is away.
        stop: breaks it off; only in the main thread, where signals are handled.

    Raises:
        BrokerUnavailable: nobody answers, or the answer was no.
        Stopped: the stop was asked for.
    """
    why = ""
    for version in _VERSIONS[mqtt.protocol]:
        client = _client(mqtt, client_id, version, manual_ack, keep_session)
        with stop.fragile() if stop is not None else nullcontext():
            why = _handshake(client, mqtt, version, keep_session)
        if not why:
            return client
        _hang_up(client)
    raise BrokerUnavailable(
        f"no MQTT broker at {mqtt.host}:{mqtt.port}: {why}; is it running, and mqtt.host/port right?"
    )


def check(mqtt: Mqtt) -> None:
    """Raise `SettingsError` unless the files that the settings name can be used."""
    _client(mqtt, mqtt.client_id, MQTTProtocolVersion.MQTTv5, manual_ack=False, keep_session=False)


def session_present(client: paho.Client) -> bool:
    """Whether the broker still had this client's session when it connected."""
    return bool(client.user_data_get()["session_present"])


def _client(
    mqtt: Mqtt, client_id: str, version: MQTTProtocolVersion, manual_ack: bool, keep_session: bool
) -> paho.Client:
    clean = None if version == MQTTProtocolVersion.MQTTv5 else not keep_session
    client = paho.Client(
        CallbackAPIVersion.VERSION2,
        client_id,
        clean_session=clean,
        protocol=version,
        manual_ack=manual_ack,
    )
    password = mqtt.password.get_secret_value() or _password(mqtt)
    if mqtt.username or password:
        client.username_pw_set(mqtt.username or client_id, password or None)
    if mqtt.ca_file:
        _trust(client, mqtt.ca_file)
    client.max_inflight_messages_set(100)
    client.max_queued_messages_set(_MAX_QUEUED)
    return client


def _trust(client: paho.Client, ca_file: Path) -> None:
    try:
        client.tls_set(ca_certs=str(ca_file))
    except OSError as error:  # of ssl too
        raise SettingsError(f"mqtt.ca_file {ca_file}: no certificates there: {error.strerror or error}") from error


def _password(mqtt: Mqtt) -> str:
    try:
        return mqtt.password_file.read_text().strip() if mqtt.password_file else ""
    except (OSError, UnicodeDecodeError) as error:
        raise SettingsError(f"mqtt.password_file {mqtt.password_file}: can't be read: {error}") from error


def _handshake(client: paho.Client, mqtt: Mqtt, version: MQTTProtocolVersion, keep_session: bool) -> str:
    """Connect and wait for the broker's word; why it failed, or nothing."""
    told: dict[str, Any] = {"code": None, "session_present": False}
    client.user_data_set(told)

    def on_connect(_c: Any, userdata: dict[str, Any], flags: Any, code: ReasonCode, _p: Any) -> None:
        userdata.update(code=code, session_present=flags.session_present)

    client.on_connect = on_connect
    try:
        if version == MQTTProtocolVersion.MQTTv5:
            client.connect(
                mqtt.host, mqtt.port, KEEPALIVE_S, clean_start=not keep_session, properties=_wishes(mqtt, keep_session)
            )
        else:
            client.connect(mqtt.host, mqtt.port, KEEPALIVE_S)
    except (OSError, ValueError) as error:  # ValueError: what no host can be named
        return getattr(error, "strerror", None) or str(error)
    deadline = time.monotonic() + _HANDSHAKE_S
    while told["code"] is None and time.monotonic() < deadline:
        if client.loop(0.05) != MQTTErrorCode.MQTT_ERR_SUCCESS:
            break
    code = told["code"]
    if code is None:
        return "it closed the connection or did not answer"
    return "" if not code.is_failure else f"it refused the connection ({code})"


def _wishes(mqtt: Mqtt, keep_session: bool) -> Properties:
    wishes = Properties(PacketTypes.CONNECT)  # type: ignore[no-untyped-call]
    wishes.ReceiveMaximum = mqtt.receive_maximum
    wishes.MaximumPacketSize = _MAX_PACKET_BYTES
    if keep_session:
        wishes.SessionExpiryInterval = int(mqtt.session_expiry.total_seconds())
    return wishes


def _hang_up(client: paho.Client) -> None:
    client.disconnect()
    client.loop(0.01)
