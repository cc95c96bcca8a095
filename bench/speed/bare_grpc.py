"""A server of the same library whose one method does nothing: what a call costs before any of our code runs.

`python -m bench.speed.bare_grpc PORT` serves until it is stopped.
"""

from __future__ import annotations

import sys
from concurrent.futures import ThreadPoolExecutor

import grpc

METHOD = "/bare.Bare/Call"


def main() -> None:
    def call(request: bytes, _: grpc.ServicerContext) -> bytes:
        return request

    _, service, method = METHOD.split("/")
    server = grpc.server(ThreadPoolExecutor(16))
    handlers = {method: grpc.unary_unary_rpc_method_handler(call)}
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(service, handlers),))
    server.add_insecure_port(f"127.0.0.1:{sys.argv[1]}")
    server.start()
    server.wait_for_termination()


if __name__ == "__main__":
    main()
