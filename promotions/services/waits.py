"""How long a transaction waits for somebody else's row: less than the client that waits for the answer."""

from django.db import connection

# Who waits longer is answered `busy`, and sends the same request again.
LOCK_TIMEOUT_S = 3


def limit_waits() -> None:
    """No statement of the running transaction waits longer than `LOCK_TIMEOUT_S` for somebody else's row."""
    with connection.cursor() as cursor:
        cursor.execute(f"SET LOCAL lock_timeout = '{LOCK_TIMEOUT_S}s'")
