"""Messages: addresses, outbox, transports. Independent of fences and offers."""
