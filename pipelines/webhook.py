"""Webhook: notices by POST to one address over HTTP, signed where there is a secret."""

import hashlib
import hmac
import threading
import urllib.request
from http.client import HTTPException
from typing import Any, Final
from urllib.error import HTTPError
from urllib.parse import urlsplit

from schemas.errors import Refused, SettingsError, Unavailable

SIGNATURE: Final = "X-Gleaner-Signature"
_TIMEOUT_S: Final = 10.0
_AGAIN: Final = frozenset({408, 425, 429})
"""Refusals that say: later."""


class Webhook:
    """A target of notices that takes JSON by POST; 2xx is its word that it has it."""

    name = "webhook"

    def __init__(self, url: str, secret: str = "") -> None:
        """Check the address; nothing is sent yet.

        Args:
            url: where to. Only scheme and host of it are ever said: the rest may be a key.
            secret: signs the body; empty for no signature.

        Raises:
            SettingsError: nothing can be sent there.
        """
        self._url, self._secret = url, secret
        self._said_as = _host(url)
        self._opener = urllib.request.build_opener(_NoRedirect)

    def tell(self, body: bytes, _stopping: threading.Event) -> None:
        """Send, and wait for the answer.

        Raises:
            Unavailable: nobody answers, or the answer was: later.
            Refused: the answer was no, or to go elsewhere.
        """
        try:
            self._opener.open(self._request(body), timeout=_TIMEOUT_S).close()
        except HTTPError as error:
            error.close()
            why = f"{self._said_as} answers {error.code} {error.reason}"
            raise (Unavailable if error.code >= 500 or error.code in _AGAIN else Refused)(why) from error
        except (OSError, HTTPException) as error:
            raise Unavailable(f"{self._said_as}: {getattr(error, 'reason', None) or error!r}") from error

    def _request(self, body: bytes) -> urllib.request.Request:
        headers = {"Content-Type": "application/json", "User-Agent": "gleaner"}
        if self._secret:
            headers[SIGNATURE] = sign(body, self._secret)
        return urllib.request.Request(self._url, body, headers, method="POST")  # noqa: S310 - http or https, see `_host`


def sign(body: bytes, secret: str) -> str:
    """What the receiver compares: HMAC-SHA-256 of the body (RFC 2104) under the secret, in hex."""
    return f"sha256={hmac.new(secret.encode(), body, hashlib.sha256).hexdigest()}"


class _NoRedirect(urllib.request.HTTPRedirectHandler):
    """Goes nowhere else: what is posted, and where, is for whoever set it to say."""

    def redirect_request(self, *_: Any) -> None:
        return None


def _host(url: str) -> str:
    """Scheme, host and port of the address, if it can be one."""
    wrong = SettingsError("alarms.webhook: say where notices go, as https://host/path; without user, password and #")
    try:
        parts = urlsplit(url)
        host = (parts.hostname or "").encode("idna")
        if parts.scheme not in ("http", "https") or not host or parts.port == 0:
            raise wrong
    except ValueError as error:  # a port or a host that is none
        raise wrong from error
    if parts.fragment or "@" in parts.netloc or not (url.isascii() and url.isprintable()) or " " in url:
        raise wrong
    return f"{parts.scheme}://{parts.netloc}"
