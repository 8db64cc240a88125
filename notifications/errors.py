"""Errors of sending."""


class TransportError(Exception):
    """A message that a transport could not send.

    `permanent`: a retry cannot succeed. `retry_after_s`: the earliest retry that the provider allows.
    `is_dead_address`: the provider reports that the address no longer exists, which is permanent. A rejected payload or
    credential is no dead address.
    """

    def __init__(
        self,
        code: str,
        *,
        permanent: bool = False,
        retry_after_s: float | None = None,
        is_dead_address: bool = False,
    ) -> None:
        super().__init__(code)
        self.code = code
        self.permanent = permanent or is_dead_address
        self.retry_after_s = retry_after_s
        self.is_dead_address = is_dead_address
