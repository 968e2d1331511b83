"""Networks that learn: optimizers, schedules, moving averages, and their parts of a state."""

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
    """A part of a run's state: arrays that must survive a resume."""

    def state(self) -> dict[str, np.ndarray]:
        """Return the arrays by name."""
        ...

    def restore(self, state: dict[str, np.ndarray]) -> None:
        """Take the arrays that `state` returned."""


def row_at(rows: Sequence[Sequence], update: int) -> Sequence:
    """Return the row of a schedule at `update` (from 0): that of the largest start <= update."""
    return max((row for row in rows if row[-1] <= update), key=lambda row: row[-1])


class MovingAverage:
    """The exponential moving average of a network's trainable weights; it begins at these weights.

    Create it in the strategy's scope; call `update` in cross-replica context.
    """

    def __init__(self, network: keras.Model, decay: float):
        self.network, self.decay = network, decay
        self.averages = [
            tf.Variable(weight.value, trainable=False) for weight in network.trainable_variables
        ]

    def update(self) -> None:
        """Set average <- decay average + (1 - decay) weight."""
        for average, weight in zip(self.averages, self.network.trainable_variables, strict=True):
            average.assign(self.decay * average + (1 - self.decay) * weight.value)

    @contextlib.contextmanager
    def applied(self) -> Iterator[None]:
        """Set the network to its averages inside the block, and to its own weights after it."""
        weights = self.network.trainable_variables
        raw = [weight.numpy() for weight in weights]
        try:
            _assign(weights, [average.numpy() for average in self.averages])
            yield
        finally:
            _assign(weights, raw)

    def state(self) -> dict[str, np.ndarray]:
        """Return the averages, named by their number among the trainable weights."""
        return _numbered(self.averages)

    def restore(self, state: dict[str, np.ndarray]) -> None:
        """Set the averages to the arrays of `state`."""
        _assign_numbered(self.averages, state)


@dataclasses.dataclass(frozen=True)
class SavedNetwork:
    """A network whose weights a run saves, with its moving average.

    `info(update)` returns the description that its weights file stores after that many updates.
    """

    network: keras.Model
    average: MovingAverage | None
    info: Callable[[int], Mapping[str, Any]]


def save_networks(folder: str, networks: Mapping[str, SavedNetwork], update: int) -> None:
    """Write the weights after an update, and their moving averages if there are any."""
    for name, saved in networks.items():
        info = saved.info(update)
        save_weights(saved.network, join(folder, f"{name}_{update}.weights.h5"), info)
        if saved.average is not None:
            with saved.average.applied():
                path = join(folder, f"{name}_ema_{update}.weights.h5")
                save_weights(saved.network, path, info)


@dataclasses.dataclass
class Learner:
    """A network with its optimizer, its learning rates, and its moving average or None."""

    network: keras.Model
    optimizer: keras.Optimizer
    rates: Sequence[Sequence]
    average: MovingAverage | None

    def set_rate(self, update: int, scale: float = 1.0) -> float:
        """Set and return the learning rate of `update`, times `scale`, which rollbacks reduce."""
        rate = row_at(self.rates, update)[0] * scale
        if float(self.optimizer.learning_rate.numpy()) != np.float32(rate):
            self.optimizer.learning_rate.assign(rate)
        return rate

    def gradient(self, tape: tf.GradientTape, loss: tf.Tensor) -> list[tf.Tensor]:
        """Return the gradients of `loss` with respect to the trainable variables."""
        return tape.gradient(loss, self.network.trainable_variables)

    def descend(self, gradients: Sequence[tf.Tensor]) -> None:
        """Take one optimizer step by the gradients of this replica's share of the loss.

        Keras sums the gradients over replicas.
        """
        self.optimizer.apply(gradients, self.network.trainable_variables)

    def parts(self, name: str) -> dict[str, Part]:
        """Return the parts that must survive a resume; their names begin with `name`."""
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
    """Return the learner of a network; call this in the strategy's scope.

    With `max_grad_norm` the gradient of each variable is clipped to that L2 norm, on each replica
    and before the sum over replicas.
    """
    optimizer = OPTIMIZERS[kind](clipnorm=max_grad_norm)
    optimizer.build(network.trainable_variables)
    average = MovingAverage(network, decay) if decay > 0 else None
    return Learner(network, optimizer, rates, average)


@dataclasses.dataclass
class WeightsPart:
    """The variables of a network or an optimizer as a part of a state, named by their numbers."""

    variables: Sequence[keras.Variable]

    def state(self) -> dict[str, np.ndarray]:
        """Return the values of the variables."""
        return _numbered(self.variables)

    def restore(self, state: dict[str, np.ndarray]) -> None:
        """Set the variables to the values of `state`."""
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
