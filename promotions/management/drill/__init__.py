"""The restore drill: restore a backup into a separate cluster, compare it with its source, and serve it."""
