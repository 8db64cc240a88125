"""Tests of the set-up and of the local processes, with real servers."""
