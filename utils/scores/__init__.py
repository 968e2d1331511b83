"""Scores of samples: features, distances, references, long chains and their validity."""
