"""Learning: optimizers and moving averages, losses, and the networks of a training run."""
