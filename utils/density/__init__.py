"""What a density is worth: log Z and likelihood, convergence of chains, their modes, outliers."""
