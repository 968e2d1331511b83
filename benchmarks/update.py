"""What an update of train.py spends its time on, at several bank sizes.

    python3 -m benchmarks.update configs/quickstart.py [--sizes 1000 10000 50000]

Times whole updates, and beside them everything of an update that is no network pass: drawing from
and writing to the bank, the data batch, transfers to and from the replicas. Peak memory is that of
the process beyond the bank's own bytes.
"""

import argparse
import resource
import statistics
import time
from collections.abc import Callable, Sequence

import train
from utils import starts
from utils.config import load_config
from utils.data import load_data
from utils.devices import make_strategy, to_host, to_replicas
from utils.models import create_models
from utils.seeds import Purpose

REPEATS = 20


def main(argv: Sequence[str] | None = None) -> None:
    """Print one row a bank size."""
    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument("config")
    parser.add_argument("--sizes", type=int, nargs="+", default=[1000, 10_000, 50_000])
    arguments = parser.parse_args(argv)
    strategy = make_strategy("cpu")
    print("| bank | ms an update | ms not in networks | share | GB beyond the bank |")
    print("|---|---|---|---|---|")
    for size in arguments.sizes:
        print(row(arguments.config, size, strategy), flush=True)


def row(path: str, size: int, strategy) -> str:
    """Return the table's row of one bank size."""
    config = load_config(path, [f"persistent_size={size}", "device_type=cpu"])
    batch = config["batch_size"]
    dataset = load_data(config)
    data = starts.make_stream(config, dataset, batch, strategy, Purpose.DATA)
    models = create_models(config, strategy, load_learned=True)
    banks = train.create_banks(config, models, dataset, batch, strategy, empty=False)
    update = train.make_update(config, models, banks, data, None, batch, strategy)
    update(0)  # traces
    whole = median_time(update)

    def around_networks(number: int) -> None:
        drawn = train.draw_starts(config, banks, batch, 0.5, number, 0)
        inputs = [
            (images, start.images, start.latents, start.rejuvenated, start.fresh)
            for images, start in zip(data.batches(number), drawn, strict=True)
        ]
        sent = to_replicas(strategy, inputs)
        back = to_host(strategy, (sent[1], sent[2]))
        for bank, start, (images, latents) in zip(banks.values(), drawn, back, strict=True):
            bank.put(start.places, images, latents, start.counts)

    around = median_time(around_networks)
    own = sum(array.nbytes for bank in banks.values() for array in bank.state().values())
    beyond = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 - own
    shown = f"{1e3 * whole:.1f} | {1e3 * around:.2f} | {around / whole:.1%} | {beyond / 1e9:.2f}"
    return f"| {size:,} | {shown} |"


def median_time(step: Callable[[int], object]) -> float:
    """Return the median seconds of a step, called with the numbers of successive updates."""
    seconds = []
    for number in range(1, REPEATS + 1):
        start = time.perf_counter()
        step(number)
        seconds.append(time.perf_counter() - start)
    return statistics.median(seconds)


if __name__ == "__main__":
    main()
