"""Pages of sign-in and account, and the check of each request that uses a session."""
