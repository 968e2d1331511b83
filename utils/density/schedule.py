"""The path of annealing: a pilot run tunes it, and then it is fixed, so that weights are unbiased.

The pilot visits nodes of b in a geometric series. At each node it tunes the step size and records
the mean of U - U_0. Where that mean falls by D over an interval B of b, chains lag behind and the
estimate loses. The path spends equal numbers of steps on equal shares of sqrt(D B), which spreads
the loss evenly: in equilibrium D / B is the variance of U - U_0, and sqrt(D B) the thermodynamic
length of the interval.
"""

import dataclasses
from typing import Any

import numpy as np

FIRST, NODES = 1e-3, 30  # the smallest b of the pilot, and the number of nodes above b = 0
ROUNDS, ROUND = 4, 5  # rounds of tuning per node, and steps per round
ACCEPTANCE = 0.6  # the target of tuning
BETAS = (0.0, *np.geomspace(FIRST, 1, NODES).tolist())
LEAST = 0.1  # the smallest length of an interval, in units of the mean length


@dataclasses.dataclass
class Pilot:
    """The pilot's results at the nodes it has visited: step sizes, and means of U - U_0."""

    epsilons: np.ndarray
    means: np.ndarray

    @classmethod
    def empty(cls) -> "Pilot":
        """Return the pilot before its first node."""
        return cls(np.zeros(0), np.zeros(0))

    def state(self) -> dict[str, Any]:
        """Return the arrays that a resumed run needs."""
        return dataclasses.asdict(self)

    def restore(self, state: dict[str, np.ndarray]) -> None:
        """Restore the arrays of `state`."""
        self.epsilons, self.means = state["epsilons"], state["means"]

    def add(self, epsilon: float, mean: float) -> None:
        """Append the results of the next node."""
        self.epsilons = np.append(self.epsilons, epsilon)
        self.means = np.append(self.means, mean)


def tuned(epsilon: float, acceptance: float) -> float:
    """Return a step size whose acceptance is closer to `ACCEPTANCE`."""
    return epsilon * float(np.exp(acceptance - ACCEPTANCE))


def path_of(pilot: Pilot, steps: int, *, forward: bool) -> tuple[np.ndarray, np.ndarray]:
    """Return a path of `steps` steps: b (steps + 1,) from 0 to 1 or, not `forward`, back; sizes.

    The step sizes (steps,) belong to the b at the end of each step; their logs are interpolated
    between nodes.
    """
    falls = -np.diff(np.minimum.accumulate(pilot.means))  # a mean may rise by chance
    lengths = np.sqrt(falls * np.diff(BETAS))
    length = np.append(0, np.cumsum(np.maximum(lengths, LEAST * lengths.mean() + 1e-12)))
    betas = np.interp(np.linspace(0, length[-1], steps + 1), length, BETAS)
    betas[0], betas[-1] = 0, 1
    betas = betas if forward else betas[::-1]
    logs = np.log(np.maximum(betas[1:], FIRST))
    return betas, np.exp(np.interp(logs, np.log(BETAS[1:]), np.log(pilot.epsilons[1:])))
