"""TELL: addresses, messages, transports. Knows nothing of fences or offers."""
