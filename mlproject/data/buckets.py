"""Buckets of a store that speaks S3: objects listed and read; faults in one line that says what to set."""

import functools
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from mlproject.core import s3_faults
from mlproject.core.errors import UserError, quoted

SCHEME = "s3://"
MISSING = ("NoSuchKey", "404")  # codes for an object that is not there, in a bucket that is


class BucketFault(UserError):
    """A bucket that refuses or is out of reach: that says nothing of a single object."""


@dataclass(frozen=True, order=True)
class Stored:
    """An object as it was listed; equal are those of one address.

    Attributes:
        url: ``s3://bucket/key``; also what `os.fspath` returns.
        etag: of its content, as the store gives it.
    """

    url: str
    bytes: int = field(compare=False)
    etag: str = field(compare=False)

    def __fspath__(self) -> str:
        return self.url

    def __str__(self) -> str:
        return self.url


Place = Path | Stored  # of a photo


def is_url(given: object) -> bool:
    """Say whether a name is that of a bucket, or of what lies in one."""
    return str(given).startswith(SCHEME)


def split(url: str) -> tuple[str, str]:
    """Return the bucket of ``s3://bucket/prefix``, and the prefix; it may be empty."""
    bucket, _, prefix = url.removeprefix(SCHEME).partition("/")
    return bucket, prefix


@functools.cache
def client(**options: str) -> Any:
    """Return a client of the store that AWS_ENDPOINT_URL names, Amazon's without it; threads may share it.

    Args:
        options: of `boto3.client`, instead of what the environment says.

    Raises:
        UserError: boto3 is not installed.
    """
    try:
        import boto3
        from botocore.config import Config
    except ModuleNotFoundError as error:
        raise UserError(f"a bucket needs {error.name}: pip install '.[services]'") from None
    patience = Config(  # an absent store must cost seconds
        connect_timeout=5, read_timeout=60, retries={"mode": "standard", "total_max_attempts": 3}
    )
    with faults(SCHEME):
        return boto3.session.Session().client("s3", config=patience, **options)


@contextmanager
def faults(url: str, endpoint: str | None = None) -> Iterator[None]:
    """Turn what a client raises within the block into one line about a bucket.

    Args:
        endpoint: what sets the store's address, if it is not the environment.

    Raises:
        FileNotFoundError: there is no such object.
        BucketFault: the bucket refuses or is out of reach.
    """
    from botocore.exceptions import BotoCoreError, ClientError

    try:
        yield
    except (BotoCoreError, ClientError, ValueError) as error:
        if isinstance(error, ClientError) and error.response["Error"]["Code"] in MISSING:
            raise FileNotFoundError(url) from None
        said = " ".join(str(error).split())
        given = os.environ.get("AWS_ENDPOINT_URL", "not set: Amazon's")
        fault = s3_faults.told(said, endpoint or f"AWS_ENDPOINT_URL ({given})")
        why = f"its S3 store {fault.what}: {fault.remedy}" if fault else f"its S3 store failed: {said}"
        raise BucketFault(f"{quoted(url)}: {why}.") from None


def check(url: str, endpoint: str | None = None, **options: str) -> None:
    """Ask a bucket for the name of one object.

    Raises:
        BucketFault: it does not tell, and why.
        UserError: as `client`.
    """
    store, (bucket, prefix) = client(**options), split(url)
    with faults(url, endpoint):
        store.list_objects_v2(Bucket=bucket, Prefix=prefix, MaxKeys=1)


def below(url: str) -> Iterator[Stored]:
    """Yield the objects of ``s3://bucket/folder``, by name.

    Raises:
        BucketFault: the bucket refuses or is out of reach.
    """
    bucket, prefix = split(url.rstrip("/"))
    with faults(url):
        pages = client().get_paginator("list_objects_v2")
        for page in pages.paginate(Bucket=bucket, Prefix=prefix and f"{prefix}/"):
            for entry in page.get("Contents", ()):
                yield Stored(f"{SCHEME}{bucket}/{entry['Key']}", entry["Size"], entry["ETag"])


def find(url: str) -> Stored:
    """Return one object as it is now.

    Raises:
        FileNotFoundError: it is not there, or its bucket is not.
        BucketFault: the bucket refuses or is out of reach.
    """
    bucket, key = split(url)
    with faults(url):
        found = client().head_object(Bucket=bucket, Key=key)
        return Stored(url, found["ContentLength"], found["ETag"])


def read(stored: Stored) -> bytes:
    """Return an object's content.

    Raises:
        FileNotFoundError: it is not there any more.
        BucketFault: the bucket refuses or is out of reach.
    """
    bucket, key = split(stored.url)
    with faults(stored.url):
        return client().get_object(Bucket=bucket, Key=key)["Body"].read()
