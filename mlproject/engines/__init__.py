"""Engines that share work out: processes of this machine, or the machines of a Ray cluster."""

import importlib.util
import os
from dataclasses import dataclass

from mlproject.core.errors import UserError, unknown_name

PROCESSES, RAY = "processes", "ray"
ADDRESS = "RAY_ADDRESS"  # environment variable, as Ray's own commands read it


@dataclass(frozen=True)
class Cluster:
    """A Ray cluster that a user asks for.

    Attributes:
        address: HOST:PORT of its head, or ``auto`` for the one that this machine belongs to. None: Ray is
            started on this machine alone, and ends with the command.
    """

    address: str | None = None


def chosen(engine: str, address: str | None = None, where: str = "--engine") -> Cluster | None:
    """Return the cluster that is asked for; None for processes of this machine.

    Args:
        address: None: that of the environment variable RAY_ADDRESS, if it is set.
        where: what `engine` was given to, for the error.

    Raises:
        UserError: there is no such engine, Ray is not installed, or processes were given an address.
    """
    if engine not in (PROCESSES, RAY):
        raise unknown_name(f"{where} {engine}", engine, (PROCESSES, RAY))
    if engine == PROCESSES:
        if address:
            raise UserError(f"--address {address}: processes run on this machine. Add: --engine ray")
        return None
    if importlib.util.find_spec("ray") is None:
        raise UserError(f"{where} {engine} needs Ray: pip install '.[ray]'")
    return Cluster(address or os.environ.get(ADDRESS) or None)
