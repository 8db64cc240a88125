"""The flag of a web process that is about to end. `/readyz` reports it, so that proxies send no more requests."""

from threading import Event

closing = Event()
