"""Auto-PGD (Croce & Hein 2020, algorithm 1): momentum, and a step size that halves on a stall."""

import itertools
import math
from typing import NamedTuple

import numpy as np

from utils.attack.task import Search, Task

MOMENTUM = 0.75  # weight of the new step; the rest repeats the last move
RISES = 0.75  # share of the steps between two checkpoints that must raise the loss


class Peak(NamedTuple):
    """The highest loss so far, its image (h, w, c), and the gradient there."""

    loss: float
    image: np.ndarray
    gradient: np.ndarray


def apgd(task: Task) -> Search:
    """Ascend the loss; at a checkpoint without progress, halve the step and return to the peak.

    The last image that it yields is the peak.
    """
    ball, size, marks = task.ball, 2 * task.ball.radius, checkpoints(task.steps)
    image = previous = task.start
    peak, last, rises, mark = Peak(-math.inf, image, image), math.inf, 0, 0
    at_mark = (size, -math.inf)  # the step and the peak's loss at the last checkpoint
    for number in itertools.count():
        loss, gradient = yield image if number < task.steps else peak.image
        rises, last = rises + (loss > last), loss
        if loss > peak.loss:
            peak = Peak(loss, image, gradient)
        if number in marks:
            stalls = rises < RISES * (number - mark) or at_mark == (size, peak.loss)
            at_mark, rises, mark = (size, peak.loss), 0, number
            if stalls:
                size, image, gradient = size / 2, peak.image, peak.gradient
        share = MOMENTUM if number else 1.0
        step = ball.climb(image, gradient, size) - image
        moved = image + share * step + (1 - share) * (image - previous)
        image, previous = ball.project(moved), image


def checkpoints(steps: int) -> set[int]:
    """Return the steps at which progress is checked: after 22%, then at shorter intervals."""
    marks = [0, 22]  # in percent
    while marks[-1] < 100:
        marks.append(marks[-1] + max(marks[-1] - marks[-2] - 3, 6))
    return {-(-mark * steps // 100) for mark in marks[1:] if mark <= 100}
