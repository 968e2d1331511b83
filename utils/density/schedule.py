"""The path of annealing, tuned in a pilot run and then fixed: its weights must not steer it.

The pilot goes through nodes of b that ascend geometrically and at each tunes the step size. Of
equally many steps then each covers as much of the thermodynamic length, the integral of the spread
of U - U_0 over b: where the two densities differ most, steps are short.
"""

import dataclasses
from typing import Any

import numpy as np

NODES = 30  # of the pilot, beside the base
ROUNDS, ROUND = 4, 5  # of tuning at a node, and steps of a round
ACCEPTANCE = 0.6  # that step sizes are tuned to
WIDEST = 0.1  # the largest b of the first node


@dataclasses.dataclass
class Pilot:
    """What the pilot has found, node by node from the base: b, step size, spread of U - U_0."""

    betas: np.ndarray
    epsilons: np.ndarray
    spreads: np.ndarray

    @classmethod
    def empty(cls) -> "Pilot":
        """Return the one before it has begun."""
        return cls(*(np.zeros(0) for _ in range(3)))

    def state(self) -> dict[str, Any]:
        """Return what a resumed run needs."""
        return dataclasses.asdict(self)

    def restore(self, state: dict[str, np.ndarray]) -> None:
        """Take the arrays of `state`."""
        self.betas, self.epsilons, self.spreads = (state[name] for name in dataclasses.asdict(self))

    def begin(self, epsilon: float, spread: float) -> None:
        """Note a step size to begin with, and the spread at the base."""
        self.betas, self.epsilons, self.spreads = (
            np.array([value]) for value in (0.0, epsilon, spread)
        )

    def next_beta(self) -> float:
        """Return the b of the next node: the first moves log weights by a spread of 1."""
        first = min(WIDEST, 1 / max(self.spreads[0], 1e-300))
        return float(np.geomspace(first, 1, NODES)[len(self.betas) - 1])

    def add(self, epsilon: float, spread: float) -> None:
        """Note the step size and the spread at the next node."""
        row = (self.next_beta(), epsilon, spread)
        self.betas, self.epsilons, self.spreads = (
            np.append(own, value)
            for own, value in zip((self.betas, self.epsilons, self.spreads), row, strict=True)
        )


def tuned(epsilon: float, acceptance: float) -> float:
    """Return a step size that comes nearer to the acceptance wanted."""
    return epsilon * float(np.exp(acceptance - ACCEPTANCE))


def path_of(pilot: Pilot, steps: int, *, forward: bool) -> tuple[np.ndarray, np.ndarray]:
    """Return the path of so many steps: b (steps + 1,) from 0 to 1, or back, and step sizes.

    A step's size is that of the b it ends at; logs are interpolated between nodes.
    """
    spreads = np.maximum(pilot.spreads, 1e-12)  # none: steps of one length
    between = (spreads[1:] + spreads[:-1]) / 2 * np.diff(pilot.betas)
    length = np.append(0, np.cumsum(between))
    betas = np.interp(np.linspace(0, length[-1], steps + 1), length, pilot.betas)
    betas[0], betas[-1] = 0, 1
    betas = betas if forward else betas[::-1]
    logs = np.log(np.maximum(betas[1:], pilot.betas[1]))
    epsilons = np.interp(logs, np.log(pilot.betas[1:]), np.log(pilot.epsilons[1:]))
    return betas, np.exp(epsilons)
