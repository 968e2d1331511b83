"""What a refactoring must keep: every array of the final states, bit for bit.

    python3 tests/equal_states.py OTHER_CHECKOUT [VARIANT ...]

Runs 10 updates of each variant with the scripts of OTHER_CHECKOUT and with those of this checkout,
and compares all arrays of both final states and all values of `metrics.csv` but times. Takes about
a minute a variant. Exit status 1 where there are differences.
"""

import argparse
import csv
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np

HERE = Path(__file__).resolve().parent.parent
SMALL = ("batch_size=8", "ebm_width=4", "info_freq=5", "log_freq=10", "state_freq=10")
TRAIN = (
    "train.py", "configs/smoke.py", "num_training_steps=10", "gen_width=4", "persistent_size=32",
    "mcmc_step_info=[[3,0,0.5,0]]", *SMALL,
)  # fmt: skip
LONGRUN = (
    "train_longrun.py", "configs_lr/smoke.py", "num_training_steps=10", "persistent_size=32",
    "burnin_size=16", *SMALL,
)  # fmt: skip
CLF = (
    "train_clf.py", "configs_clf/smoke.py", "num_epochs=2", "epoch_steps_tr=5", "dropout=0.3",
    "random_crop=True", "lr_switch_epochs=[1]",
)  # fmt: skip
FROZEN = ("update_generator=False", "mcmc_step_info=[[3,2,0.5,0]]")
GENERATOR = ("mcmc_init=coop_persistent", "gen_type=gen_sngan", "gen_width=4")
VARIANTS = {
    "averages": (*TRAIN, "ebm_opt_decay=0.9", "gen_opt_decay=0.8"),
    "replicas": (*TRAIN, "num_replicas=2"),
    "burn-in, frozen generator": (*TRAIN, *FROZEN),
    "data": (*TRAIN, "mcmc_init=data", "update_generator=False"),
    "noise": (*TRAIN, "mcmc_init=noise", "update_generator=False"),
    "pieces": (*TRAIN, "batch_size=16", "pieces=2"),
    "longrun, equal chains": (*LONGRUN, "mcmc_step_info=[[3,3,2,0]]"),
    "longrun, unequal chains": (*LONGRUN, "mcmc_step_info=[[3,2,2,0]]"),
    "longrun, generator": (*LONGRUN, "mcmc_step_info=[[3,3,1,0]]", *GENERATOR),
    "classifier": CLF,
    "classifier, replicas": (*CLF, "num_replicas=2"),
}


def main(argv: Sequence[str] | None = None) -> None:
    """Run, compare, and exit 1 where states differ."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("other", type=Path, help="checkout to compare with")
    parser.add_argument("variants", nargs="*", help=f"of {', '.join(VARIANTS)} (all)")
    arguments = parser.parse_args(argv)
    differences = 0
    with tempfile.TemporaryDirectory() as folder:
        for name in arguments.variants or VARIANTS:
            one, other = (
                run(checkout, VARIANTS[name], Path(folder) / str(number))
                for number, checkout in enumerate((HERE, arguments.other))
            )
            different = compare(one, other)
            differences += len(different)
            print(f"{name}: {len(one)} arrays, {len(different)} differ {different}", flush=True)
    sys.exit(differences > 0)


def run(checkout: Path, variant: Sequence[str], folder: Path) -> dict[str, np.ndarray]:
    """Run a variant with the scripts of a checkout; return the arrays it ends with, by name."""
    script, config, *options = variant
    folder.mkdir(exist_ok=True)
    before = set(folder.glob("runs/*/"))
    subprocess.run(
        [sys.executable, checkout / script, config, "--set", "exp_dir=runs", *options],
        cwd=folder, check=True, capture_output=True,
    )  # fmt: skip
    (made,) = {f for f in set(folder.glob("runs/*/")) - before if (f / "config.json").exists()}
    state = max((made / "state").iterdir(), key=lambda path: int(path.name))
    arrays = {}
    for path in sorted(state.glob("*.npz")):
        with np.load(path) as part:
            arrays |= {f"{path.stem}/{name}": part[name] for name in part.files}
    with open(made / "metrics.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    return arrays | {
        f"metrics/{name}": np.array([row[name] for row in rows])
        for name in rows[0]
        if name != "seconds"
    }


def compare(one: dict[str, np.ndarray], other: dict[str, np.ndarray]) -> list[str]:
    """Return the names of arrays that are not the same in both, bit for bit."""
    return sorted(
        name
        for name in one.keys() | other.keys()
        if name not in one or name not in other or one[name].tobytes() != other[name].tobytes()
    )


if __name__ == "__main__":
    main()
