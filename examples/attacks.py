"""All attacks on one defence, one after the other, and their tables.

    python3 -m examples.attacks CONFIG [--set KEY=VALUE ...] [--work DIR] [--only GROUP ...]

CONFIG is one of `configs_attack/`, where `start_batch` 2 leaves the first batch for the choice of
settings. Each attack is a run of attack.py in its own folder below DIR; its command is printed.
After a kill, give the same command again to continue. Expensive attacks use the first 16 images
only. `--only` names groups: `linf`, `three` of these, `l2`, `bare`. `--dry-run` only prints the
commands.
"""

import argparse
import shlex
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import utils.before_tensorflow

from utils.attack.table import read_attack, rows_of
from utils.config.load import REPOSITORY, load_config
from utils.errors import UserError, one_line_errors

FEW = 16  # images of expensive attacks
NAMES = ("pgd", "apgd_ce", "apgd_dlr", "apgd_t", "transfer")
BY_QUERIES = {
    "square": ["attack=square", "adv_steps=300", "eot_attack_reps=4"],
    "nes": ["attack=nes", "adv_steps=20", "eot_attack_reps=32"],
}
CHEAP = {
    "pgd": ["attack=pgd", f"attack_checks={FEW}"],
    **{name: [f"attack={name}"] for name in NAMES[1:]},
    "smoothed": ["attack_gradient=smoothed"],
}
EXPENSIVE = {
    "full": ["attack_gradient=full"],
    "surrogate": ["attack_gradient=surrogate", "surrogate_steps={surrogate}"],
    **BY_QUERIES,
}
THREE = ("pgd", "apgd_ce", "smoothed")
GROUPS = ("linf", "three", "l2", "bare")
L2 = ["adv_norm=l2", "adv_eps=128", "adv_eta=32"]
BARE = ["langevin_steps=0", "ebm_weights=None", "eot_attack_reps=2"]
BARE_IMAGES = 200


@one_line_errors
def main(argv: Sequence[str] | None = None) -> None:
    """Run the attacks that are not finished, and print the tables."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("config", help="config file of attack.py")
    parser.add_argument("--set", metavar="KEY=VALUE", action="extend", nargs="+", default=[])
    parser.add_argument("--work", type=Path, help="run folders; default tf_out/attacks/<exp_name>")
    parser.add_argument("--only", nargs="+", choices=GROUPS, default=["linf", "l2", "bare"])
    parser.add_argument("--dry-run", action="store_true", help="only print the commands")
    arguments = parser.parse_args(argv)
    config = load_config(arguments.config, arguments.set, "attack")
    work = arguments.work or Path("tf_out") / "attacks" / config.exp_name
    for group in arguments.only:
        folders = []
        for name, changes in attacks_of(group, config):
            folders.append(str(work / group / name))
            command = ["attack.py", arguments.config, "--run-dir", folders[-1], "--set"]
            run([*command, *arguments.set, *changes], only_print=arguments.dry_run)
        if not arguments.dry_run:
            print(f"\n{group}\n")
            print("\n".join(rows_of([read_attack(folder) for folder in folders])), flush=True)


def attacks_of(group: str, config: Any) -> Iterator[tuple[str, list[str]]]:
    """Yield the name of each attack of a group, and its changes of the config."""
    if group == "bare":
        for name in NAMES:
            yield name, [*BARE, *whole_batches(config, BARE_IMAGES), f"attack={name}"]
        for name, own in BY_QUERIES.items():
            yield name, [*BARE, *whole_batches(config, BARE_IMAGES), *own]
        return
    if group in ("three", "l2"):
        yield from ((name, [*L2 * (group == "l2"), *CHEAP[name]]) for name in THREE)
        return
    yield from CHEAP.items()
    for name, own in EXPENSIVE.items():
        surrogate = max(1, config.langevin_steps // 4)
        yield name, [*first_images(config), *(key.format(surrogate=surrogate) for key in own)]


def first_images(config: Any) -> list[str]:
    """Return the changes that select the first `FEW` images of the config's images."""
    before = (config.start_batch - 1) * config.batch_size
    if before % FEW:
        raise UserError(f"'batch_size' {config.batch_size} must be a multiple of {FEW}")
    batch = before // FEW + 1
    return [f"batch_size={FEW}", f"start_batch={batch}", f"end_batch={batch}"]


def whole_batches(config: Any, images: int) -> list[str]:
    """Return the changes that attack `images` images, rounded down to whole batches."""
    count = images // config.batch_size
    return [f"end_batch={config.start_batch + count - 1}"]


def run(command: Sequence[str], *, only_print: bool) -> None:
    """Print a command and run it; exit with its status if it fails."""
    print(f"python3 {shlex.join(command)}", flush=True)
    if only_print:
        return
    status = subprocess.run([sys.executable, str(REPOSITORY / command[0]), *command[1:]]).returncode
    if status:
        sys.exit(status)


if __name__ == "__main__":
    main()
