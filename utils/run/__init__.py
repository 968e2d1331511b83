"""Runs: their folder, their loop, what survives a kill, records and plots."""
