"""The fix lane: a raw ASGI application that takes fixes and answers before Django."""
