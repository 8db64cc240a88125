"""Errors that stop a local command."""


class LocalError(Exception):
    """An error that the reader can act on, described in its text; shown without a traceback."""


class InterruptedBySignal(Exception):
    """A request to end the command; `signum` is the signal."""

    def __init__(self, signum: int) -> None:
        super().__init__(f"ended by signal {signum}")
        self.signum = signum
