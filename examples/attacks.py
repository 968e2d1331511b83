"""All attacks on one defence, one after the other, and their tables.

    python3 -m examples.attacks CONFIG [--set KEY=VALUE ...] [--work DIR] [--only GROUP ...]

CONFIG is one of `configs_attack/`, where `start_batch` 2 leaves the first batch for the choice of
settings. Each attack is a run of attack.py in its own folder below DIR; its command is printed.
After a kill, give the same command again to continue. Expensive attacks use the first 16 images
only. `--only` names groups: `linf`, `three` of these, `l2`, `bare`. `linf` checks for masked
gradients. `--dry-run` only prints the commands.
"""

import shlex
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import utils.before_tensorflow

from examples.processes import started
from utils.attack.table import read_attack, rows_of
from utils.config.checks import EMBEDDED, data_name
from utils.config.command_line import Parser
from utils.config.load import load_config
from utils.errors import UserError, one_line_errors

FEW = 16  # images of expensive attacks
NAMES = ("pgd", "apgd_ce", "apgd_dlr", "apgd_t", "transfer")
BY_QUERIES = {
    "square": ["attack=square", "adv_steps=300", "eot_attack_reps=4"],
    "nes": ["attack=nes", "adv_steps=20", "eot_attack_reps=32"],
}
CHEAP = {
    **{name: [f"attack={name}"] for name in NAMES},
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
    parser = Parser(prog="python3 -m examples.attacks", description=main.__doc__)
    parser.add_argument("config", help="config file of attack.py")
    parser.add_argument("--set", metavar="KEY=VALUE", action="extend", nargs="+", default=[])
    parser.add_argument("--work", type=Path, help="run folders; default tf_out/attacks/<exp_name>")
    parser.add_argument("--only", nargs="+", choices=GROUPS, default=["linf", "l2", "bare"])
    parser.add_argument("--dry-run", action="store_true", help="only print the commands")
    arguments = parser.parse_args(argv)
    config = load_config(arguments.config, arguments.set, "attack")
    work = arguments.work or Path("tf_out") / "attacks" / config.exp_name
    groups = {group: dict(attacks_of(group, config)) for group in arguments.only}
    for attacks in groups.values():
        for changes in attacks.values():  # a mistake shows before the first attack runs
            load_config(arguments.config, [*arguments.set, *changes], "attack")
    for group, attacks in groups.items():
        folders = [str(work / group / name) for name in attacks]
        for folder, changes in zip(folders, attacks.values(), strict=True):
            command = ["attack.py", arguments.config, "--run-dir", folder, "--set"]
            run([*command, *arguments.set, *changes], only_print=arguments.dry_run)
        if not arguments.dry_run:
            print(f"\n{group}\n")
            print("\n".join(rows_of([read_attack(folder) for folder in folders])), flush=True)


def attacks_of(group: str, config: Any) -> Iterator[tuple[str, list[str]]]:
    """Yield the name of each attack of a group, and its changes of the config.

    Raises UserError if the group cannot attack the config's images.
    """
    if config.adv_norm != "linf":
        raise UserError(
            "'adv_norm' belongs to the groups: leave it out; the group l2 attacks in L2"
        )
    if config.start_batch == 1:
        raise UserError(
            "'start_batch' is 1: settings were chosen on batch 1, so that no result is of it; add "
            "--set start_batch=2 end_batch=2"
        )
    if group == "bare":
        for name in NAMES:
            yield name, [*BARE, *bare_images(config), f"attack={name}"]
        for name, own in BY_QUERIES.items():
            yield name, [*BARE, *bare_images(config), *own]
        return
    if group in ("three", "l2"):
        yield from ((name, [*L2 * (group == "l2"), *CHEAP[name]]) for name in THREE)
        return
    yield "pgd", [*CHEAP["pgd"], f"attack_checks={FEW}"]
    yield from ((name, own) for name, own in CHEAP.items() if name != "pgd")
    for name, own in EXPENSIVE.items():
        surrogate = max(1, config.langevin_steps // 4)
        yield name, [*first_images(config), *(key.format(surrogate=surrogate) for key in own)]


def first_images(config: Any) -> list[str]:
    """Return the changes that select the first `FEW` images of the config's images."""
    if config.batch_size % FEW:
        raise UserError(f"'batch_size' {config.batch_size} must be a multiple of {FEW}")
    batch = (config.start_batch - 1) * config.batch_size // FEW + 1
    return [f"batch_size={FEW}", f"start_batch={batch}", f"end_batch={batch}"]


def bare_images(config: Any) -> list[str]:
    """Return the changes that attack `BARE_IMAGES` images, in batches of at least the config's.

    emoji32 has too few images: as many whole batches of the config's size as fit.
    """
    least = config.batch_size
    sizes = [n for n in range(least, BARE_IMAGES + 1) if BARE_IMAGES % n == 0]
    if least > BARE_IMAGES:
        raise UserError(
            f"'batch_size' {least} is above {BARE_IMAGES}, the images of the group 'bare': set a "
            "smaller one"
        )
    size = least if data_name(config) == EMBEDDED else sizes[0]
    last = config.start_batch + BARE_IMAGES // size - 1
    return [f"batch_size={size}", f"end_batch={last}"]


def run(command: Sequence[str], *, only_print: bool) -> None:
    """Print a command and run it, passing signals on; exit with its status if it fails."""
    print(f"python3 {shlex.join(command)}", flush=True)
    if only_print:
        return
    with started(command) as process:
        status = process.wait()
    if status:
        sys.exit(status)


if __name__ == "__main__":
    main()
