"""What learns, and what of it is kept: optimizers, schedules, moving averages, parts of states."""

import contextlib
import dataclasses
import functools
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, Protocol

import keras
import numpy as np
import tensorflow as tf

from utils.files.whole import join
from utils.weights.files import save_weights

OPTIMIZERS = {
    "adam": functools.partial(keras.optimizers.Adam, beta_1=0.9, beta_2=0.999, epsilon=1e-7),
    "sgd": keras.optimizers.SGD,
}


class Part(Protocol):
    """Something that must survive a resume."""

    def state(self) -> dict[str, np.ndarray]:
        """Return its arrays."""
        ...

    def restore(self, state: dict[str, np.ndarray]) -> None:
        """Take arrays as `state` gave them."""


def row_at(rows: Sequence[Sequence], update: int) -> Sequence:
    """Return the row of a schedule that holds at `update` (from 0): the largest start <= update."""
    return max((row for row in rows if row[-1] <= update), key=lambda row: row[-1])


class MovingAverage:
    """The exponential moving average of a network's trainable weights, from its initial weights on.

    Create it in the strategy's scope; `update` belongs in cross-replica context.
    """

    def __init__(self, network: keras.Model, decay: float):
        self.network, self.decay = network, decay
        self.averages = [
            tf.Variable(weight.value, trainable=False) for weight in network.trainable_variables
        ]

    def update(self) -> None:
        """average <- decay average + (1 - decay) weight."""
        for average, weight in zip(self.averages, self.network.trainable_variables, strict=True):
            average.assign(self.decay * average + (1 - self.decay) * weight.value)

    @contextlib.contextmanager
    def applied(self) -> Iterator[None]:
        """Let the network hold the averages inside the block, and its own weights after it."""
        weights = self.network.trainable_variables
        raw = [weight.numpy() for weight in weights]
        try:
            _assign(weights, [average.numpy() for average in self.averages])
            yield
        finally:
            _assign(weights, raw)

    def state(self) -> dict[str, np.ndarray]:
        """Return the averages, numbered in the order of the trainable weights."""
        return _numbered(self.averages)

    def restore(self, state: dict[str, np.ndarray]) -> None:
        """Take the arrays of `state`."""
        _assign_numbered(self.averages, state)


@dataclasses.dataclass(frozen=True)
class SavedNetwork:
    """A network whose weights a run saves, with its moving average.

    `info(update)` is what a file of it says that is written after that many updates.
    """

    network: keras.Model
    average: MovingAverage | None
    info: Callable[[int], Mapping[str, Any]]


def save_networks(folder: str, networks: Mapping[str, SavedNetwork], update: int) -> None:
    """Write the weights after an update, and their moving averages where these are kept."""
    for name, saved in networks.items():
        info = saved.info(update)
        save_weights(saved.network, join(folder, f"{name}_{update}.weights.h5"), info)
        if saved.average is not None:
            with saved.average.applied():
                path = join(folder, f"{name}_ema_{update}.weights.h5")
                save_weights(saved.network, path, info)


@dataclasses.dataclass
class Learner:
    """A network with its optimizer, its learning rates, and its moving average if one is kept."""

    network: keras.Model
    optimizer: keras.Optimizer
    rates: Sequence[Sequence]
    average: MovingAverage | None

    def set_rate(self, update: int, scale: float = 1.0) -> float:
        """Set and return the learning rate of `update`; `scale` is what rollbacks left of it."""
        rate = row_at(self.rates, update)[0] * scale
        if float(self.optimizer.learning_rate.numpy()) != np.float32(rate):
            self.optimizer.learning_rate.assign(rate)
        return rate

    def gradient(self, tape: tf.GradientTape, loss: tf.Tensor) -> list[tf.Tensor]:
        """Return the gradient of `loss` by each of the trainable variables."""
        return tape.gradient(loss, self.network.trainable_variables)

    def descend(self, gradients: Sequence[tf.Tensor]) -> None:
        """Take one step down the gradients of this replica's share of a sum over replicas.

        Keras sums them over replicas.
        """
        self.optimizer.apply(gradients, self.network.trainable_variables)

    def parts(self, name: str) -> dict[str, Part]:
        """Return what must survive a resume, under names that begin with `name`."""
        parts: dict[str, Part] = {
            name: WeightsPart(self.network.variables),
            f"{name}_optimizer": WeightsPart(self.optimizer.variables),
        }
        return parts if self.average is None else {**parts, f"{name}_average": self.average}


def create_learner(
    network: keras.Model,
    *,
    kind: str,
    rates: Sequence[Sequence],
    decay: float = 0.0,
    max_grad_norm: float | None = None,
) -> Learner:
    """Return the learner of a network; call it in the strategy's scope.

    With `max_grad_norm` each variable's gradient is clipped to that L2 norm, on each replica before
    the sum.
    """
    optimizer = OPTIMIZERS[kind](clipnorm=max_grad_norm)
    optimizer.build(network.trainable_variables)
    average = MovingAverage(network, decay) if decay > 0 else None
    return Learner(network, optimizer, rates, average)


@dataclasses.dataclass
class WeightsPart:
    """Variables of a network or an optimizer as a part of the training state, numbered in order."""

    variables: Sequence[keras.Variable]

    def state(self) -> dict[str, np.ndarray]:
        """Return the values."""
        return _numbered(self.variables)

    def restore(self, state: dict[str, np.ndarray]) -> None:
        """Take the values of `state`."""
        _assign_numbered(self.variables, state)


def _numbered(variables: Sequence) -> dict[str, np.ndarray]:
    return {f"{i:04d}": variable.numpy() for i, variable in enumerate(variables)}


def _assign_numbered(variables: Sequence, state: dict[str, np.ndarray]) -> None:
    if len(state) != len(variables):
        raise ValueError(f"{len(state)} arrays for {len(variables)} variables")
    _assign(variables, [state[f"{i:04d}"] for i in range(len(variables))])


def _assign(variables: Sequence, values: Sequence) -> None:
    for variable, value in zip(variables, values, strict=True):
        variable.assign(value)
