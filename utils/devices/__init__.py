"""Devices: strategies, pieces of a batch, the memory that is free, and signals to a process."""
