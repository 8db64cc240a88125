"""Waiting for what every process has to hear of."""

import time


def let_fences_act() -> None:
    """Wait as long as the product promises that an edit of fences takes to reach every worker.

    A process that looks later than that waits for the new edition, so a slow machine changes nothing.
    """
    time.sleep(2.0)
