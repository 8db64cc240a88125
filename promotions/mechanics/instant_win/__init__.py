"""Instant win: an unlock plays once, and wins a prize if a winning moment is open."""
