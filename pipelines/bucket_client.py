"""The client of a bucket: one attempt for each request, bounded waits, and why one failed, in words."""

from typing import Any, Final

import botocore.session
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError, ConnectTimeoutError, EndpointConnectionError, SSLError

from pipelines.place import Bucket
from schemas.errors import Unavailable

_CONNECT_S: Final = 5.0
_READ_S: Final = 30.0
_KEYS: Final = "the keys were refused; they are wrong, expired, or may not do this"
_ALTERED: Final = "the body was altered on the way"
_MEANING: Final = {
    "NoSuchBucket": "there is no such bucket; make it, or correct lake.url",
    "InvalidAccessKeyId": _KEYS,
    "SignatureDoesNotMatch": _KEYS,
    "AccessDenied": _KEYS,
    "ExpiredToken": _KEYS,
    "InvalidToken": _KEYS,
    "401": _KEYS,
    "403": _KEYS,
    "RequestTimeTooSkewed": "its clock and the one here differ too much",
    "XMinioStorageFull": "it is full",
    "InsufficientStorage": "it is full",
    "QuotaExceeded": "it is full",
    "XMinioAdminBucketQuotaExceeded": "it is full",
    "IncompleteBody": "it did not get or could not keep the whole body; the way was cut, or it is full",
    "BadDigest": _ALTERED,
    "XAmzContentSHA256Mismatch": _ALTERED,
    "XAmzContentChecksumMismatch": _ALTERED,
    "SlowDown": "it is overloaded",
    "ServiceUnavailable": "it is overloaded or starting",
    "AuthorizationHeaderMalformed": "it is in another region; correct lake.region",
    "PermanentRedirect": "it is in another region; correct lake.region and lake.endpoint",
}


class Unclear(Unavailable):
    """A request may or may not have been carried out: its answer did not come."""


def connect(bucket: Bucket) -> Any:
    """A client; nothing is sent yet."""
    scheme = "https" if bucket.secure else "http"
    style = "path" if bucket.endpoint else "virtual"
    return botocore.session.Session().create_client(
        "s3",
        region_name=bucket.region,
        endpoint_url=f"{scheme}://{bucket.endpoint}" if bucket.endpoint else None,
        verify=str(bucket.ca_file) if bucket.ca_file else True,
        aws_access_key_id=bucket.access_key,
        aws_secret_access_key=bucket.secret_key,
        aws_session_token=bucket.session_token or None,
        config=Config(
            connect_timeout=_CONNECT_S,
            read_timeout=_READ_S,
            retries={"total_max_attempts": 1},
            signature_version="s3v4",
            s3={"addressing_style": style, "payload_signing_enabled": True},
            request_checksum_calculation="when_required",
            response_checksum_validation="when_required",
        ),
    )


def refusal(bucket: Bucket, error: ClientError | BotoCoreError) -> Unavailable:
    """Why a request failed, without a word of its keys."""
    if isinstance(error, ClientError):
        code = str(error.response["Error"].get("Code", ""))
        status = error.response["ResponseMetadata"]["HTTPStatusCode"]
        return Unavailable(f"{bucket}: {_MEANING.get(code, 'it refuses')} ({status} {code})")
    where = bucket.endpoint or f"Amazon S3 in {bucket.region}"
    if isinstance(error, SSLError):
        return Unavailable(
            f"{bucket}: no TLS with {where}; lake.ca_file says whom to trust, lake.endpoint whether at all"
        )
    if isinstance(error, EndpointConnectionError | ConnectTimeoutError):
        return Unavailable(f"{bucket}: nothing answers at {where}")
    return Unclear(f"{bucket}: no whole answer from {where} ({type(error).__name__})")
