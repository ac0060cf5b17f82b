"""A real MinIO for a test: loopback, a free port, its data in a folder of the test, ended by its process."""

import os
import secrets
import shutil
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import botocore.session
import pytest
from botocore.config import Config

from pipelines.place import Bucket
from tests.integration.mosquitto import free_port

NAME = "lake"
WAIT_S = 30.0


@dataclass(frozen=True)
class Minio:
    bucket: Bucket
    process: subprocess.Popen[bytes]

    @property
    def settings(self) -> tuple[str, ...]:
        """The `lake.…=` arguments of `gleaner` for its bucket."""
        return settings_of(self.bucket)


def settings_of(bucket: Bucket) -> tuple[str, ...]:
    """The `lake.…=` arguments of `gleaner` for a bucket."""
    return (
        f"lake.url={bucket}",
        f"lake.endpoint={'https' if bucket.secure else 'http'}://{bucket.endpoint}",
        f"lake.access_key={bucket.access_key}",
        f"lake.secret_key={bucket.secret_key}",
    )


def program() -> str:
    """The server's path; skips the test, by name, where there is none."""
    built = Path(__file__).parents[2] / ".tools" / "minio"
    found = shutil.which("minio") or (str(built) if os.access(built, os.X_OK) else None)
    if found is None:
        pytest.skip("minio is neither on the PATH nor in .tools; make servers MINIO=1 builds it")
    return found


@contextmanager
def running(
    folder: Path, *, port: int | None = None, keys: tuple[str, str] | None = None, prefix: str = "fleet"
) -> Iterator[Minio]:
    """A server with an empty bucket, or with what an earlier one left in `folder`, until the block ends."""
    chosen = port or free_port()
    folder.mkdir(parents=True, exist_ok=True)
    access_key, secret_key = keys or _keys_of(folder)
    bucket = Bucket(
        endpoint=f"127.0.0.1:{chosen}",
        bucket=NAME,
        prefix=prefix,
        access_key=access_key,
        secret_key=secret_key,
        secure=False,
    )
    command = [program(), "server", "--quiet", "--address", bucket.endpoint, str(folder / "data")]
    own = {"MINIO_ROOT_USER": access_key, "MINIO_ROOT_PASSWORD": secret_key, "MINIO_CI_CD": "1"}
    quiet = {"MINIO_BROWSER": "off", "MINIO_UPDATE": "off", "HOME": str(folder)}
    with (folder / "minio.log").open("ab") as log:
        process = subprocess.Popen(command, stdout=log, stderr=log, env={**os.environ, **own, **quiet})
        try:
            _await(bucket.endpoint, process)
            make_bucket(bucket)
            yield Minio(bucket, process)
        finally:
            process.kill()
            process.wait(WAIT_S)


def client(bucket: Bucket) -> "botocore.client.BaseClient":
    """A client of the tests' own."""
    return botocore.session.Session().create_client(
        "s3",
        region_name=bucket.region,
        endpoint_url=f"http://{bucket.endpoint}",
        aws_access_key_id=bucket.access_key,
        aws_secret_access_key=bucket.secret_key,
        config=Config(s3={"addressing_style": "path"}, retries={"total_max_attempts": 2}),
    )


def limited(bucket: Bucket, policy: str) -> Bucket:
    """The bucket with temporary keys that may do what an access policy, as JSON, says."""
    sts = botocore.session.Session().create_client(
        "sts",
        region_name=bucket.region,
        endpoint_url=f"http://{bucket.endpoint}",
        aws_access_key_id=bucket.access_key,
        aws_secret_access_key=bucket.secret_key,
    )
    keys = sts.assume_role(RoleArn="arn:minio:iam:::role/any", RoleSessionName="limited", Policy=policy)["Credentials"]
    return replace(
        bucket,
        access_key=keys["AccessKeyId"],
        secret_key=keys["SecretAccessKey"],
        session_token=keys["SessionToken"],
    )


def make_bucket(bucket: Bucket) -> None:
    own = client(bucket)
    if bucket.bucket not in [each["Name"] for each in own.list_buckets()["Buckets"]]:
        own.create_bucket(Bucket=bucket.bucket)


def objects(bucket: Bucket) -> dict[str, bytes]:
    """Every object of a lake by its name in it, but the markers'."""
    own = client(bucket)
    start = f"{bucket.prefix}/" if bucket.prefix else ""
    pages = own.get_paginator("list_objects_v2").paginate(Bucket=bucket.bucket, Prefix=start)
    names = [found["Key"] for page in pages for found in page.get("Contents", ())]
    return {
        name.removeprefix(start): own.get_object(Bucket=bucket.bucket, Key=name)["Body"].read()
        for name in names
        if not name.removeprefix(start).startswith("_gleaner/")
    }


def _keys_of(folder: Path) -> tuple[str, str]:
    """Keys of this folder's own: the same after a restart."""
    file = folder / "keys"
    if not file.exists():
        file.write_text(f"{secrets.token_hex(8)} {secrets.token_hex(16)}")
    access_key, secret_key = file.read_text().split()
    return access_key, secret_key


def _await(endpoint: str, process: "subprocess.Popen[bytes]") -> None:
    """Return once it says that it is ready to serve."""
    end = time.monotonic() + WAIT_S
    while time.monotonic() < end and process.poll() is None:
        try:
            with urllib.request.urlopen(f"http://{endpoint}/minio/health/ready", timeout=1):
                return
        except (urllib.error.URLError, OSError):
            time.sleep(0.05)
    raise AssertionError(f"minio does not serve on {endpoint}")
