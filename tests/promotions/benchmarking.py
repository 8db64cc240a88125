"""The benchmarks with a load generator that every machine has: a few requests over one connection at a time."""

import statistics
import threading
import time
from collections import Counter
from collections.abc import Sequence
from datetime import UTC, datetime
from http.client import HTTPConnection
from itertools import islice
from urllib.parse import urlsplit

from benchmarks import __main__ as runner
from benchmarks import wrk
from benchmarks.wrk import Load, Seen

# One connection by itself, then several: more requests than the rush on a small cap allows.
FEW, REQUESTS, CONNECTIONS = 10, 40, 4


def main(names: Sequence[str]) -> int:
    """Run them, quick."""
    wrk.drive = drive_slowly
    return runner.main([*names, "--quick"])


def drive_slowly(load: Load) -> Seen:
    """The first requests of the file, over a few connections."""
    count, connections = (FEW, 1) if load.connections == 1 else (REQUESTS, CONNECTIONS)
    with load.requests.open(encoding="utf-8") as file:
        lines = [line.rstrip("\n").split("\t") for line in islice(file, count)]
    taken_s: list[float] = []
    statuses: Counter[str] = Counter()
    begun_s = time.monotonic()
    threads = [
        threading.Thread(target=_send, args=(load.url, lines[first::connections], taken_s, statuses))
        for first in range(connections)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    refused = sum(count for status, count in statuses.items() if status >= "400")
    seconds = time.monotonic() - begun_s
    return Seen(len(taken_s), seconds, refused, 0, statistics.median(taken_s), max(taken_s), max(taken_s), statuses)


def _send(url: str, lines: Sequence[Sequence[str]], taken_s: list[float], statuses: Counter[str]) -> None:
    peer = HTTPConnection(urlsplit(url).netloc, timeout=120)
    for path, token, body in lines:
        now = datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
        headers = {"Content-Type": "application/json", "X-Forwarded-Proto": "https"}
        if token:
            headers["Authorization"] = f"Bearer {token}"
        begun_s = time.monotonic()
        peer.request("POST", path, body.replace("@now@", now), headers)
        response = peer.getresponse()
        response.read()
        taken_s.append(time.monotonic() - begun_s)
        statuses[str(response.status)] += 1
    peer.close()
