"""Weights: the project's files, published checkpoints, other formats, and their networks."""
