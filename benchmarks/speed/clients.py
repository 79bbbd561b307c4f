"""Clients of a web server: each asks again as soon as it has its answer.

Standard input: port, path, clients, requests and bodies as JSON. Standard output: the seconds of all requests
together and of each.
"""

import http.client
import json
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor


def main() -> None:
    """Ask; an answer that is not 200 is an error."""
    given = json.load(sys.stdin)
    bodies = [body.encode("latin-1") for body in given["bodies"]]
    connections = threading.local()

    def ask(number: int) -> float:
        if not hasattr(connections, "own"):
            connections.own = http.client.HTTPConnection("127.0.0.1", given["port"])
        started = time.perf_counter()
        headers = {"Content-Type": "application/json"}
        connections.own.request("POST", given["path"], bodies[number % len(bodies)], headers)
        answer = connections.own.getresponse()
        said = answer.read()
        if answer.status != 200:
            raise RuntimeError(f"{answer.status}: {said[:300]!r}")
        return time.perf_counter() - started

    with ThreadPoolExecutor(given["clients"]) as pool:
        started = time.perf_counter()
        seconds = list(pool.map(ask, range(given["requests"])))
        print(json.dumps({"all": time.perf_counter() - started, "seconds": seconds}))


if __name__ == "__main__":
    main()
