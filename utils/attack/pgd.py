"""Projected gradient ascent for any gradient, and random search as its control."""

import itertools

import numpy as np

from utils.attack.task import Search, Task

DECAY = 0.9  # of the momentum


def pgd(task: Task) -> Search:
    """Take steps of constant size along the gradient (Madry et al. 2018)."""
    image = task.start
    while True:
        seen = yield image
        image = task.ball.climb(image, seen.gradient, task.size)


def momentum_pgd(task: Task) -> Search:
    """Take such steps along a decaying sum of gradients: single estimates are too noisy."""
    image, total = task.start, np.zeros_like(task.start)
    while True:
        seen = yield image
        total = DECAY * total + seen.gradient
        image = task.ball.climb(image, total, task.size)


def random_search(task: Task) -> Search:
    """Try random images at the full radius of the ball."""
    for number in itertools.count():
        yield task.ball.random_edge(task.rng(number))
