"""The webhook: what is posted, what each answer leads to, and that nobody waits for it."""

import hashlib
import hmac
import socket
import threading
from collections.abc import Iterator

import pytest
from prometheus_client import REGISTRY
from structlog.testing import capture_logs

from pipelines.courier import Target
from pipelines.notifier import Notifier
from pipelines.webhook import SIGNATURE, Webhook, sign
from schemas.errors import Refused, SettingsError, Unavailable
from tests.integration.mosquitto import free_port
from tests.pipelines.hooks import WAIT_S, Hook, hooked, until

GO_ON = threading.Event()
BODY = b'{"schema":1}'


@pytest.fixture(autouse=True)
def _soon(monkeypatch: pytest.MonkeyPatch) -> None:
    """Attempts follow each other quickly, and no proxy of this machine is asked."""
    monkeypatch.setattr("pipelines.backoff._BACKOFF_S", (0.01, 0.05))
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def hook() -> Iterator[Hook]:
    with hooked() as made:
        yield made


def outcome(name: str) -> float:
    return REGISTRY.get_sample_value("gleaner_notices_total", {"target": "webhook", "outcome": name}) or 0.0


# one post


def test_a_notice_is_posted_as_it_is(hook: Hook) -> None:
    Webhook(hook.url).tell(BODY, GO_ON)
    [(path, headers, body, _)] = hook.heard
    assert (path, body) == ("/hook?key=secret-in-the-path", BODY)
    assert headers["Content-Type"] == "application/json"
    assert SIGNATURE not in headers


def test_with_a_secret_it_is_signed(hook: Hook) -> None:
    Webhook(hook.url, "a secret").tell(BODY, GO_ON)
    [(_, headers, body, _)] = hook.heard
    assert headers[SIGNATURE] == "sha256=" + hmac.new(b"a secret", body, hashlib.sha256).hexdigest()


def test_a_signature_is_that_of_rfc_4231() -> None:
    """Test case 2 of the RFC."""
    told = sign(b"what do ya want for nothing?", "Jefe")
    assert told == "sha256=5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843"


@pytest.mark.parametrize("status", [200, 201, 202, 204])
def test_2xx_is_its_word_that_it_has_it(hook: Hook, status: int) -> None:
    hook.status = status
    Webhook(hook.url).tell(BODY, GO_ON)


@pytest.mark.parametrize("status", [408, 425, 429, 500, 502, 503, 504])
def test_trouble_that_passes_is_tried_again(hook: Hook, status: int) -> None:
    hook.status = status
    with pytest.raises(Unavailable, match=str(status)):
        Webhook(hook.url).tell(BODY, GO_ON)


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308, 400, 401, 403, 404, 405, 410, 413, 422])
def test_a_no_is_a_no_and_a_redirect_is_not_followed(hook: Hook, status: int) -> None:
    hook.status = status
    with pytest.raises(Refused, match=str(status)):
        Webhook(hook.url).tell(BODY, GO_ON)
    assert len(hook.heard) == 1


def test_nobody_there_is_tried_again_and_the_key_in_the_address_is_never_said() -> None:
    port = free_port()
    with pytest.raises(Unavailable, match=f"http://127.0.0.1:{port}") as told:
        Webhook(f"http://127.0.0.1:{port}/T0/secret-key").tell(BODY, GO_ON)
    assert "secret-key" not in str(told.value)


@pytest.mark.parametrize("answer", [b"", b"\x00garbage\r\n\r\n", b"HTTP/1.1 99999 What\r\n\r\n", b"HTTP/1.1"])
def test_what_is_no_answer_is_tried_again(answer: bytes) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:

        def serve() -> None:
            client, _ = server.accept()
            with client:
                client.recv(1 << 16)
                client.sendall(answer)

        thread = threading.Thread(target=serve)
        thread.start()
        with pytest.raises(Unavailable):
            Webhook(f"http://127.0.0.1:{server.getsockname()[1]}").tell(BODY, GO_ON)
        thread.join()


def test_plain_http_is_no_tls(hook: Hook) -> None:
    with pytest.raises(Unavailable, match="https://"):
        Webhook(hook.url.replace("http", "https")).tell(BODY, GO_ON)


# addresses


@pytest.mark.parametrize(
    "url", ["https://host", "http://host:8080/a?b=c", "https://[::1]:1/", "https://xn--bcher-kva.example/"]
)
def test_addresses_that_can_be(url: str) -> None:
    Webhook(url)


@pytest.mark.parametrize(
    "url",
    [
        "host", "ftp://host", "file:///etc/passwd", "http://", "http:///path", "https://host:0", "https://host:port",
        "https://host:99999", "https://user:word@host/", "https://host/#there", "https://host/a b", "https://host/\n",
        "https://[::1", "https://" + "a" * 64 + ".example", "https://host/ü", "//host/path",
    ],
)  # fmt: skip
def test_addresses_that_can_not_be_are_an_error_that_does_not_repeat_them(url: str) -> None:
    with pytest.raises(SettingsError, match=r"alarms\.webhook: say where") as told:
        Webhook(url)
    assert "word" not in str(told.value).replace("password", "")


# in the background


def test_notices_come_in_their_order_over_a_server_that_fails(hook: Hook) -> None:
    before, hook.status = outcome("told"), 503
    notifier = Notifier([Webhook(hook.url)])
    for number in range(5):
        notifier.tell(str(number), b'{"n":%d}' % number, ["webhook"])
    until(lambda: len(hook.heard) >= 3)
    assert {body for _, _, body, _ in hook.heard} == {b'{"n":0}'}
    assert notifier.untold("0") == ("webhook",)
    assert REGISTRY.get_sample_value("gleaner_notices_waiting") == 5
    hook.status = 200
    notifier.close(WAIT_S)
    assert hook.taken() == [{"n": number} for number in range(5)]
    assert outcome("told") - before == 5
    assert notifier.untold("0") == ()
    assert REGISTRY.get_sample_value("gleaner_notices_waiting") == 0


def test_what_is_refused_is_given_up_counted_and_said_once(hook: Hook) -> None:
    before, hook.status = outcome("refused"), 404
    notifier = Notifier([Webhook(hook.url)])
    with capture_logs() as logs:
        for number in range(3):
            notifier.tell(str(number), BODY, ["webhook"])
        notifier.close(WAIT_S)
    assert hook.statuses() == [404, 404, 404]
    assert outcome("refused") - before == 3
    [said] = [entry for entry in logs if entry["log_level"] == "error"]
    assert "404" in said["why"]
    assert "secret-in-the-path" not in str(logs)


def test_trouble_is_said_once_and_its_end_too(hook: Hook) -> None:
    hook.status = 500
    notifier = Notifier([Webhook(hook.url)])
    with capture_logs() as logs:
        notifier.tell("1", BODY, ["webhook"])
        until(lambda: len(hook.heard) >= 4)
        hook.status = 200
        notifier.close(WAIT_S)
    assert [entry["log_level"] for entry in logs] == ["error", "info"]


def test_a_target_that_hangs_holds_up_no_other_and_no_end() -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent, hooked() as hook:
        hanging, healthy = Webhook(f"http://127.0.0.1:{silent.getsockname()[1]}"), Webhook(hook.url)
        hanging.name = "hanging"
        notifier = Notifier([hanging, healthy])
        notifier.tell("1", BODY, notifier.targets)
        until(lambda: notifier.untold("1") == ("hanging",))
        notifier.close(0.1)
        assert len(hook.taken()) == 1


def test_a_notice_that_is_forgotten_is_tried_no_more(hook: Hook) -> None:
    hook.status = 503
    notifier = Notifier([Webhook(hook.url)])
    notifier.tell("1", b'{"n":1}', ["webhook"])
    notifier.tell("2", b'{"n":2}', ["webhook"])
    until(lambda: hook.heard)
    notifier.forget("1")
    until(lambda: hook.heard[-1][2] == b'{"n":2}')
    hook.status = 200
    notifier.close(WAIT_S)
    assert hook.taken() == [{"n": 2}]


def test_the_same_notice_waits_once(hook: Hook) -> None:
    hook.status = 503
    notifier = Notifier([Webhook(hook.url)])
    for _ in range(5):
        notifier.tell("1", BODY, ["webhook"])
    hook.status = 200
    notifier.close(WAIT_S)
    assert len(hook.taken()) == 1


def test_a_fault_of_our_own_is_said_and_tried_again(hook: Hook) -> None:
    class Faulty:
        name = "webhook"
        faults = 2

        def tell(self, body: bytes, stopping: threading.Event) -> None:
            if self.faults:
                self.faults -= 1
                raise KeyError("a fault")
            Webhook(hook.url).tell(body, stopping)

    target: Target = Faulty()
    notifier = Notifier([target])
    with capture_logs() as logs:
        notifier.tell("1", BODY, ["webhook"])
        notifier.close(WAIT_S)
    assert len(hook.taken()) == 1
    assert "a fault" in logs[0]["why"]


def test_a_target_that_there_is_no_more_is_left_out() -> None:
    notifier = Notifier([])
    notifier.tell("1", BODY, ["webhook"])
    assert notifier.untold("1") == ()
    notifier.close(WAIT_S)
