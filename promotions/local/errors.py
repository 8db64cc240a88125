"""What stops a local command."""


class LocalError(Exception):
    """Something the reader can act on, said in its text; shown without a traceback."""


class InterruptedBySignal(Exception):
    """Somebody asked the command to end; `signum` says how."""

    def __init__(self, signum: int) -> None:
        super().__init__(f"ended by signal {signum}")
        self.signum = signum
