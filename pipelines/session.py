"""Session: whether the broker should still know us; remembered beside the log."""

from pathlib import Path

import structlog

from pipelines import metrics

log = structlog.get_logger()


class Session:
    """A session at a broker, which keeps what comes while ingest is away."""

    def __init__(self, folder: Path, name: str, broker: str) -> None:
        """A session that may be new.

        Args:
            folder: of the log.
            name: client id, unique among those that write this log.
            broker: host and port: at another broker a session begins anew, and that is no loss.
        """
        self._path, self._told = folder / f"{name.replace('/', '_')}.session", f"{name} {broker}\n"

    def connected(self, kept: bool) -> None:
        """Raise the alarm where the broker ought to have kept the session, and did not."""
        if not kept and self._is_known():
            metrics.SESSIONS_LOST.inc()
            log.error(
                "the broker lost our session: what it held is sent again by the devices",
                hint="is its persistence on, and mqtt.session_expiry longer than we were away?",
            )

    def subscribed(self) -> None:
        """Remember that from now on the broker keeps what comes."""
        if not self._is_known():
            try:
                self._path.write_text(self._told)
            except (OSError, ValueError) as error:  # costs an alarm at most
                log.warning("the session can't be remembered", why=str(error))

    def _is_known(self) -> bool:
        try:
            return self._path.read_text() == self._told
        except (OSError, ValueError):
            return False
