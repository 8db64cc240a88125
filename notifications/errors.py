"""What can go wrong while telling."""


class TransportError(Exception):
    """A transport did not take a message. `permanent` alone decides whether it is tried again."""

    def __init__(self, code: str, *, permanent: bool) -> None:
        super().__init__(code)
        self.code = code
        self.permanent = permanent
