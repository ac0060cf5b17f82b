"""DuckDB's way into a bucket: its S3 extension as the package index has it, and a secret of the connection's own."""

from pathlib import Path
from typing import Any, Final

import duckdb
import duckdb_extension_httpfs

from pipelines.place import Bucket
from schemas.errors import LakeError

_TIMEOUT_S: Final = 30
_RETRIES: Final = 2
_GRANT: Final = """
create secret lake (type s3, provider config, key_id $key_id, secret $secret, session_token $session_token,
    region $region, endpoint $endpoint, url_style $url_style, use_ssl $use_ssl, scope $scope)
"""


def open_bucket(connection: duckdb.DuckDBPyConnection, bucket: Bucket) -> None:
    """Let a connection read a bucket; the keys stay inside it, its own list of secrets shows stars.

    Raises:
        LakeError: the extension does not fit this DuckDB.
    """
    connection.execute(f"load '{_extension()}'")
    options: dict[str, Any] = {
        "http_timeout": _TIMEOUT_S,
        "http_retries": _RETRIES,
        "enable_server_cert_verification": True,
        **({"ca_cert_file": str(bucket.ca_file)} if bucket.ca_file else {}),
    }
    for name, value in options.items():
        connection.execute(f"set {name} = $value", {"value": value})
    connection.execute(
        _GRANT,
        {
            "key_id": bucket.access_key,
            "secret": bucket.secret_key,
            "session_token": bucket.session_token,
            "region": bucket.region,
            "endpoint": bucket.endpoint or f"s3.{bucket.region}.amazonaws.com",
            "url_style": "path" if bucket.endpoint else "vhost",
            "use_ssl": bucket.secure,
            "scope": f"s3://{bucket.bucket}/",
        },
    )


def _extension() -> str:
    """Its file, quoted: loaded from where it lies, so that nothing is written to anybody's home."""
    folder = Path(next(iter(duckdb_extension_httpfs.__path__)))
    file = folder / "extensions" / f"v{duckdb.__version__}" / "httpfs.duckdb_extension"
    if not file.is_file():
        raise LakeError(f"DuckDB is {duckdb.__version__}; install duckdb-extension-httpfs=={duckdb.__version__}")
    return str(file).replace("'", "''")
