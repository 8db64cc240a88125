"""Upgrades without stopping: the rules that each new migration keeps."""
