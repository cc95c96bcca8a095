"""Ratchet: models that learn from every training session, and a log that proves it.

>>> from ratchet import Client
>>> with Client.from_home(".ratchet") as client:
...     print(client.get_champion("AAPL/range/random-forest").model.name)

The names below are loaded when they are first used, so that the command line starts without gRPC.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ratchet import errors
    from ratchet.client import Client

    __version__: str

__all__ = ["Client", "__version__", "errors"]


def __getattr__(name: str) -> object:
    if name == "Client":
        return importlib.import_module("ratchet.client").Client
    if name == "errors":
        return importlib.import_module("ratchet.errors")
    if name == "__version__":
        return importlib.import_module("importlib.metadata").version("ratchet-models")
    raise AttributeError(f"module 'ratchet' has no attribute {name!r}")
