"""The peers: each holds the same packages with the same indexes, and answers the same questions.

A peer is a module of this folder with a class ``Peer`` (see `base`), named in `PEERS`.
"""

from __future__ import annotations

from importlib import import_module

from benchmarks.peers.base import Base

__all__ = ["PEERS", "Base", "peer_class"]

#: The modules, in the order in which they are shown; ours first, then what it is measured against.
PEERS = (
    *("ours", "sqlite", "command", "duckdb", "tinydb"),
    *("plain", "overours", "hypatia", "zcatalog"),
)


def peer_class(name: str) -> type[Base]:
    """The class of a peer.

    :raises ImportError: what it needs is not installed
    """
    peer: type[Base] = import_module(f"benchmarks.peers.{name}").Peer
    return peer
