"""Devices: strategies, the memory that is free, and signals to a process."""
