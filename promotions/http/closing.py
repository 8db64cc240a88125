"""The flag of a web process that is about to end: `/readyz` reports it, for proxies."""

from threading import Event

closing = Event()
