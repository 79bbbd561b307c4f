"""An S3 store on loopback that checks keys, as real ones do."""

import json
import logging
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import pytest
import requests

BUCKET, FOREIGN = "photos", "foreign"  # the key may use the first one alone


@dataclass(frozen=True)
class ObjectStore:
    """A running store with two buckets.

    Attributes:
        keys: what somebody sets in the shell who may use `BUCKET`, and `gone`, which is not there.
    """

    url: str
    keys: dict[str, str]

    def client(self) -> Any:
        """Return a client with the right keys."""
        return _client("s3", self.url, self.keys["AWS_ACCESS_KEY_ID"], self.keys["AWS_SECRET_ACCESS_KEY"])


def _client(service: str, url: str, key: str = "root", secret: str = "root") -> Any:
    import boto3

    return boto3.client(
        service,
        endpoint_url=url,
        aws_access_key_id=key,
        aws_secret_access_key=secret,
        region_name="us-east-1",
    )


@contextmanager
def running() -> Iterator[ObjectStore]:
    """Start a store in this process; it ends with the block, and what it holds too."""
    for module in ("moto", "boto3"):
        pytest.importorskip(module, reason=f"{module} is not installed: pip install -e '.[dev,services]'")
    from moto.server import ThreadedMotoServer

    logging.getLogger("werkzeug").setLevel(logging.ERROR)  # a line a request
    server = ThreadedMotoServer("127.0.0.1", port=0, verbose=False)
    server.start()
    url = "http://{}:{}".format(*server.get_host_and_port())
    try:
        _check_keys(url, after="inf")  # of a store that was in this process before, all else is gone
        iam = _client("iam", url)
        iam.create_user(UserName="line")
        allowed = [f"arn:aws:s3:::{name}{rest}" for name in (BUCKET, "gone") for rest in ("", "/*")]
        grant = {"Effect": "Allow", "Action": "s3:*", "Resource": allowed}
        policy = json.dumps({"Version": "2012-10-17", "Statement": [grant]})
        iam.put_user_policy(UserName="line", PolicyName="photos", PolicyDocument=policy)
        made = iam.create_access_key(UserName="line")["AccessKey"]
        for name in (BUCKET, FOREIGN):
            _client("s3", url).create_bucket(Bucket=name)
        _check_keys(url, after="0")
        yield ObjectStore(
            url,
            {
                "AWS_ACCESS_KEY_ID": made["AccessKeyId"],
                "AWS_SECRET_ACCESS_KEY": made["SecretAccessKey"],
                "AWS_DEFAULT_REGION": "us-east-1",
                "AWS_ENDPOINT_URL": url,
            },
        )
    finally:
        requests.post(f"{url}/moto-api/reset", timeout=10)
        server.stop()


def _check_keys(url: str, after: str) -> None:
    """Let the store check keys after so many requests more."""
    assert requests.post(f"{url}/moto-api/reset-auth", data=after.encode(), timeout=10).ok
