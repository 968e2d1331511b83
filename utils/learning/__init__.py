"""What learns: optimizers and averages, losses, and the networks of a training run."""
