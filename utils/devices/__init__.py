"""Devices: strategies, pieces of a batch, free memory, and signals to a process."""
