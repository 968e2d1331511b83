"""Evaluation of a density: log Z and likelihood, convergence of chains, modes, outliers."""
