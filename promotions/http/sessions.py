"""Sessions of the admin, checked before the body of a request is read."""

import asyncio
from importlib import import_module

from django.conf import settings
from django.contrib.auth import SESSION_KEY
from django.db import DatabaseError, InterfaceError, connections

from promotions.database.audiences import Audience, serving
from promotions.errors import DomainError


async def knows_session(key: str) -> bool:
    """Return whether a person is signed in with this session. Errors: `unavailable` without PostgreSQL."""
    if not key:
        return False
    with serving(Audience.ADMIN):
        return await asyncio.to_thread(_is_signed_in, key)


def _is_signed_in(key: str) -> bool:
    store = import_module(settings.SESSION_ENGINE).SessionStore
    try:
        return SESSION_KEY in store(session_key=key).load()
    except (DatabaseError, InterfaceError):
        raise DomainError("unavailable") from None
    finally:
        connections.close_all()
