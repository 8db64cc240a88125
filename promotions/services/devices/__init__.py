"""A phone's registration, revocations and erasure."""
