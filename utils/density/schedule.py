"""The path of annealing, tuned in a pilot run and then fixed: its weights must not steer it.

The pilot goes through nodes of b that ascend geometrically; at each it tunes the step size and
notes the mean of U - U_0. Where that mean falls by D over a stretch B of b, chains lag behind and
weights are lost; equally many steps for equal shares of sqrt(D B) keep the loss even, for in
equilibrium D / B is the variance of U - U_0 and sqrt(D B) the stretch's thermodynamic length.
"""

import dataclasses
from typing import Any

import numpy as np

FIRST, NODES = 1e-3, 30  # the smallest b of the pilot, and how many, beside the base at 0
ROUNDS, ROUND = 4, 5  # of tuning at a node, and steps of a round
ACCEPTANCE = 0.6  # that step sizes are tuned to
BETAS = (0.0, *np.geomspace(FIRST, 1, NODES).tolist())
LEAST = 0.1  # of the mean share of steps: what a stretch gets whatever the pilot saw there


@dataclasses.dataclass
class Pilot:
    """What the pilot has found at the first of `BETAS`: step sizes, and means of U - U_0."""

    epsilons: np.ndarray
    means: np.ndarray

    @classmethod
    def empty(cls) -> "Pilot":
        """Return the one before it has begun."""
        return cls(np.zeros(0), np.zeros(0))

    def state(self) -> dict[str, Any]:
        """Return what a resumed run needs."""
        return dataclasses.asdict(self)

    def restore(self, state: dict[str, np.ndarray]) -> None:
        """Take the arrays of `state`."""
        self.epsilons, self.means = state["epsilons"], state["means"]

    def add(self, epsilon: float, mean: float) -> None:
        """Note what was found at the next node."""
        self.epsilons = np.append(self.epsilons, epsilon)
        self.means = np.append(self.means, mean)


def tuned(epsilon: float, acceptance: float) -> float:
    """Return a step size that comes nearer to the acceptance wanted."""
    return epsilon * float(np.exp(acceptance - ACCEPTANCE))


def path_of(pilot: Pilot, steps: int, *, forward: bool) -> tuple[np.ndarray, np.ndarray]:
    """Return the path of so many steps: b (steps + 1,) from 0 to 1, or back, and step sizes.

    A step's size is that of the b it ends at; logs are interpolated between nodes.
    """
    falls = -np.diff(np.minimum.accumulate(pilot.means))  # by chance a mean may rise
    lengths = np.sqrt(falls * np.diff(BETAS))
    length = np.append(0, np.cumsum(np.maximum(lengths, LEAST * lengths.mean() + 1e-12)))
    betas = np.interp(np.linspace(0, length[-1], steps + 1), length, BETAS)
    betas[0], betas[-1] = 0, 1
    betas = betas if forward else betas[::-1]
    logs = np.log(np.maximum(betas[1:], FIRST))
    return betas, np.exp(np.interp(logs, np.log(BETAS[1:]), np.log(pilot.epsilons[1:])))
