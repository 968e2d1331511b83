"""Runs: the folder, the loop, states that survive a kill, records and plots."""
