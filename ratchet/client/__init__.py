"""The client of Ratchet's services.

    from ratchet.client import Client
    with Client.from_home(".ratchet") as client:
        print(client.get_champion("AAPL/range/xgboost").model.name)

The names below are loaded on first use: addresses and credentials need no gRPC.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ratchet.client.client import AsOf, Client, default_actor

__all__ = ["AsOf", "Client", "default_actor"]


def __getattr__(name: str) -> object:
    if name in __all__:
        from ratchet.client import client

        return getattr(client, name)
    raise AttributeError(f"module 'ratchet.client' has no attribute {name!r}")
