"""Langevin chains: the potential, the step, noise, starts, banks, and how a chain runs."""
