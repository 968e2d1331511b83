"""Langevin chains: the potential, the step, noise, where chains start and how they run."""
