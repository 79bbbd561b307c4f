"""Faults of a store that speaks S3: told from what its client says, with what to set."""

import re
from typing import NamedTuple

KEYS = "AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY"
# Codes as clients name them, and S3's own sentences, which alone come through MLflow.
KNOWN = {
    r"Unable to locate credentials|Partial credentials": ("gets no keys", f"set {KEYS}"),
    r"InvalidAccessKeyId|(?i:access key id) you provided does not exist": (
        "does not know the access key",
        f"correct {KEYS}",
    ),
    r"SignatureDoesNotMatch|signature we calculated does not match": (
        "refuses the secret key",
        "correct AWS_SECRET_ACCESS_KEY: it must belong to AWS_ACCESS_KEY_ID",
    ),
    r"NoSuchBucket|bucket does not exist": (
        "has no such bucket",
        "correct the bucket's name, or {endpoint}",
    ),
    r"AccessDenied|s3://\S+: Access Denied|\(403\) when calling": (
        "denies this key access",
        "ask the store's administrator to grant it, or set another key in AWS_ACCESS_KEY_ID",
    ),
    r"SSL validation failed": (
        "has a certificate that is not trusted here",
        "set AWS_CA_BUNDLE to the file with the certificate of its authority",
    ),
    r"Could not connect to the endpoint|(?:Connect|Read) timeout on endpoint|Invalid endpoint": (
        "does not answer",
        "start it, or correct {endpoint}",
    ),
}


class S3Fault(NamedTuple):
    """What a store does, "does not answer" for example, and what to do about it."""

    what: str
    remedy: str


def told(said: str, endpoint: str) -> S3Fault | None:
    """Return what is wrong, None if that cannot be told.

    Args:
        said: text of an error, of a client of S3 or of a program that uses one.
        endpoint: what sets the address of the store.
    """
    for pattern, (what, remedy) in KNOWN.items():
        if re.search(pattern, said):
            return S3Fault(what, remedy.format(endpoint=endpoint))
    return None
