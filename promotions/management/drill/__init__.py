"""The restore drill: a backup is restored into a cluster of its own, compared with its source, and served."""
