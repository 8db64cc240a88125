"""Processes of the stage with a moved clock, as on a machine without time synchronisation."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from redis import Redis

from promotions.clocks import clocks_key
from tests.faults.stage import Stage, wait_for

MOVED_TIME = Path(__file__).parent / "moved_time"


@contextmanager
def moved_clock(stage: Stage, name: str, by_s: float) -> Iterator[None]:
    """Run one process with its clock moved; in the end as it was before."""
    former = stage.stack.env
    path = os.pathsep.join(filter(None, [str(MOVED_TIME), former.get("PYTHONPATH", "")]))
    stage.stack.env = {**former, "PYTHONPATH": path, "MOVED_TIME_S": str(by_s)}
    try:
        stage.stack.kill(name)
        stage.stack.launch(name)
        wait_for(lambda: stage.stack._has_started(name), 90.0)
        yield
    finally:
        stage.stack.env = former
        stage.stack.kill(name)
        # What the killed process published would differ for another half minute.
        with Redis.from_url(stage.redis.url) as client:
            client.delete(clocks_key())
        stage.launch(name)
