"""Buckets of a store that speaks S3: a client of it, and its faults in one line that says what to set."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from mlproject.core import s3_faults
from mlproject.core.errors import UserError, quoted

SCHEME = "s3://"


class BucketFault(UserError):
    """A bucket that refuses or is out of reach: that says nothing of a single object."""


def split(url: str) -> tuple[str, str]:
    """Return the bucket of ``s3://bucket/prefix``, and the prefix; it may be empty."""
    bucket, _, prefix = url.removeprefix(SCHEME).partition("/")
    return bucket, prefix


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
    # an absent store must cost seconds
    patience = Config(
        connect_timeout=5, read_timeout=60, retries={"mode": "standard", "total_max_attempts": 3}
    )
    with faults("s3://"):
        return boto3.session.Session().client("s3", config=patience, **options)


@contextmanager
def faults(url: str, endpoint: str | None = None) -> Iterator[None]:
    """Turn what a client raises within the block into one line about a bucket.

    Args:
        endpoint: what sets the store's address, if it is not the environment.

    Raises:
        BucketFault: the bucket refuses or is out of reach.
    """
    from botocore.exceptions import BotoCoreError, ClientError

    try:
        yield
    except (BotoCoreError, ClientError, ValueError) as error:
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
