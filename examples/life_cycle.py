"""The whole life cycle on one laptop: how the length of chains decides what an EBM becomes.

    python3 -m examples.life_cycle [--data NAME] [--quick] [--work DIR] [--out DIR]

Runs the five scripts by commands that it prints. It trains a classifier, a shortrun EBM, a midrun
EBM, and a longrun EBM with its prior; runs chains of the three EBMs from the same generator for 1,
10 and 100 times the length of their training chains, as far as that is feasible; and attacks the
classifier, bare and behind each EBM. Writes results.json, table.md, picture.png and log.txt. On
emoji32, the default, it takes 103 minutes on two cores of an AMD EPYC, with --quick about six. On
fashion_mnist it takes many hours, because chains have up to 100,000 steps, some 1,000,000. After a
kill, give the same command again: finished stages are not repeated.
"""

import json
import shlex
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import utils.before_tensorflow

from examples.life_cycle_report import FACTORS, REGIMES, report, write
from examples.processes import started
from utils.config.command_line import Parser
from utils.config.load import load_config
from utils.errors import one_line_errors
from utils.files.whole import make_folder, one_line_write_errors, read_json

DATA = {  # value of --data: the beginning of the names of its configs, and changes of all of them
    "emoji32": ("emoji32", ""),
    "fashion_mnist": ("fashion", "data_download=True"),
}
SHORT = "num_training_steps=40 batch_size=8 state_freq=20 log_freq=40 mcmc_step_info="
QUICK_CLASSIFIER = "num_epochs=3 epoch_steps_tr=20 lr_switch_epochs=[1,2]"
TRAINING = {  # stage: script, config, changes of --quick
    "classifier": ("train_clf", "configs_clf/{}_wrn.py", QUICK_CLASSIFIER),
    "shortrun": ("train", "configs/{}_nonconv.py", f"{SHORT}[[5,0,0.5,0]]"),
    "midrun": ("train", "configs/{}_medconv.py", f"{SHORT}[[5,0,0.25,0]]"),
    "prior": ("train", "configs/{}_prior.py", f"{SHORT}[[5,0,0.5,0]]"),
    "longrun": ("train_longrun", "configs_lr/{}_conv.py", f"{SHORT}[[5,5,1,0]]"),
}  # fmt: skip
SCORE = ("fid", "configs_fid/{}_shortrun.py", "")
ATTACK = (
    "attack",
    "configs_attack/{}.py",
    "batch_size=8 end_batch=1 adv_steps=3 langevin_steps=20",
)
# Up to a factor: number of chains, and with --quick.
CHAINS = {"emoji32": {10: (256, 16), 100: (32, 8)}, "fashion_mnist": {100: (256, 8)}}
MOST_STEPS = {"fashion_mnist": 20_000}  # of these chains
# Up to these steps: number of chains, and regimes.
LONG = {"fashion_mnist": {100_000: (16, REGIMES), 1_000_000: (8, ("longrun",))}}
SAMPLES = {"fashion_mnist": 5000}  # of the shortrun model
ATTACKS = {  # by data: the ending of an attack's name, and its changes
    "emoji32": {"": ()},
    "fashion_mnist": {
        "": (),
        "_l2": ("adv_norm=l2", "adv_eps=128.0", "adv_eta=32.0"),
        "_smoothed": ("attack_gradient=smoothed",),
    },
}


@one_line_errors
def main(argv: Sequence[str] | None = None) -> None:
    """Run the stages that are not finished, then write the results."""
    parser = Parser(prog="python3 -m examples.life_cycle", description=main.__doc__)
    parser.add_argument("--data", choices=DATA, default="emoji32", help="default emoji32")
    parser.add_argument("--quick", action="store_true", help="in minutes; results mean nothing")
    parser.add_argument("--work", type=Path, help="run folders; default tf_out/life_cycle")
    parser.add_argument("--out", type=Path, help="results; default examples/life_cycle")
    arguments = parser.parse_args(argv)
    folder = (
        "life_cycle" if arguments.data == "emoji32" else f"life_cycle_{DATA[arguments.data][0]}"
    )
    folder += "_quick" * arguments.quick
    root = arguments.work or Path("tf_out") / folder
    out = arguments.out or (root / "results" if arguments.quick else Path("examples") / folder)

    cycle, work = Cycle(root, arguments.quick, arguments.data), Work(root)
    for name, command in cycle.commands.items():
        if work.finished.get(name) != command:
            work.run(name, command)
    report(out, cycle, work)
    print(f"done: {out}", flush=True)


class Cycle:
    """The commands of all stages, in order, and the length of each regime's training chains."""

    def __init__(self, root: Path, quick: bool, data: str = "emoji32"):
        self.root, self.quick, self.commands, self.configs = root, quick, {}, {}
        self.prefix, self.changes = DATA[data]
        self.chains, self.samples = CHAINS[data], SAMPLES.get(data)
        self.most = MOST_STEPS.get(data)
        shorter = 1000 if quick else 1
        self.long = {last // shorter: what for last, what in LONG.get(data, {}).items()}
        for name, script in TRAINING.items():
            self.configs[name] = self._add(name, script, self._prior(name))
        self.steps = {name: round(mean_chain_steps(self.configs[name])) for name in REGIMES}
        if self.samples:
            self.samples = 64 if quick else self.samples
            own = [0, self.steps["shortrun"]]
            self._score("samples", "shortrun", self.samples, own, "heldout_split=test")
        for name in REGIMES:
            for factor, chains in self.chains.items():
                self._score_along(name, factor, chains[quick])
        for last, (chains, names) in self.long.items():
            for name in names:
                ends = {0, *self.multiples(name), self.last(name, max(self.chains)), *self.long}
                changes = ("heldout_split=None", "segment_steps=None")
                self._score(
                    f"{name}_{last}", name, chains, [e for e in ends if e <= last], *changes
                )
        self.attacked = [
            (name, ending)
            for ending, changes in ATTACKS[data].items()
            for name in ("bare", *REGIMES)
            # The bare classifier has no purification, so `attack_gradient` has no effect.
            if name != "bare" or not any(c.startswith("attack_gradient") for c in changes)
        ]
        for name, ending in self.attacked:
            self._attack(name, ending, ATTACKS[data][ending])

    def _add(self, name: str, stage: Sequence[str], changes: Sequence[str]) -> Mapping[str, Any]:
        """Add the command of a stage; return its config. Raises UserError for a wrong config."""
        script, path, short = stage
        path = path.format(self.prefix)
        changes = [*self.changes.split(), *short.split() * self.quick, *changes]
        changes.append(f"exp_dir={self.root}")
        own = [f"{script}.py", path, "--run-dir", str(self.root / name), "--set"]
        self.commands[name] = [*own, *changes]
        return load_config(path, changes, script)

    def _weights(self, name: str, network: str = "ebm") -> str:
        """Return the path of the last weights of a training stage."""
        step = self.configs[name]["num_epochs" if network == "clf" else "num_training_steps"]
        return f"{self.root}/{name}/checkpoints/{network}_{step}.weights.h5"

    def _prior(self, name: str) -> list[str]:
        if name != "longrun":
            return []
        temperature = self.configs["prior"]["mcmc_temp"]
        return [f"prior_weights={self._weights('prior')}", f"prior_temp={temperature}"]

    def multiples(self, name: str) -> list[int]:
        """Return 1, 10 and 100 times the length of a regime's training chain."""
        return [self.steps[name] * factor for factor in FACTORS]

    def last(self, name: str, factor: int) -> int:
        """Return the steps of a regime's chains of up to `factor` training chains."""
        steps = self.steps[name] * factor
        return min(steps, self.most) if self.most else steps

    def _score_along(self, name: str, factor: int, chains: int) -> None:
        """Score a regime's chains at the steps of shortrun and midrun, too, for comparison."""
        last = self.last(name, factor)
        ends = {0, last}.union(*map(self.multiples, ("shortrun", "midrun", name)))
        held_out = "test" if factor == max(self.chains) else None
        scored = [end for end in ends if end <= last]
        changes = (f"heldout_split={held_out}", "segment_steps=None")
        self._score(f"{name}_{factor}x", name, chains, scored, *changes)

    def _score(
        self, stage: str, name: str, chains: int, scored: Sequence[int], *changes: str
    ) -> None:
        """Score a regime's chains after the steps `scored`."""
        own = (
            f"ebm_weights={self._weights(name)}",
            f"clf_weights={self._weights('classifier', 'clf')}", *self._prior(name),
            f"gen_weights={self._weights('shortrun', 'gen')}",
            f"num_samples={chains}", f"batch_size={min(chains, 64)}", *changes,
            f"mcmc_steps={max(scored)}",
            f"fid_steps={sorted(scored)}".replace(" ", ""),
        )  # fmt: skip
        self._add(stage, SCORE, own)

    def _attack(self, name: str, ending: str, changes: Sequence[str]) -> None:
        defense = ["ebm_weights=None", "langevin_steps=0"]
        if name != "bare":
            defense = [f"ebm_weights={self._weights(name)}", *self._prior(name)]
            defense += [f"{k}={self.configs[name][k]}" for k in ("epsilon", "mcmc_temp", "tau")]
        defense.append(f"clf_weights={self._weights('classifier', 'clf')}")
        self._add(f"attack_{name}{ending}", ATTACK, [*defense, *changes])


def mean_chain_steps(config: Mapping[str, Any]) -> float:
    """Return the mean number of Langevin steps of a negative sample in the steady state.

    In `train.py` each draw rejuvenates a state with probability p, or if it is older than
    `max_mcmc_updates`. In `train_longrun.py` an image burns in for `threshold` + 1 draws, and each
    draw from the update bank replaces it with probability 1 / (threshold + 1), if banks are much
    larger than a batch. (On small shelves images burn in at regular intervals, which gives 1% less
    for `emoji32_conv.py`.)
    """
    steps, burn_in, rule, _ = config["mcmc_step_info"][-1]
    if "burnin_size" in config:
        return (rule + 1) * (burn_in + steps)
    oldest = config["max_mcmc_updates"] + 2 if config["max_mcmc_updates"] else 100_000
    alive = [(1 - rule) ** draw for draw in range(oldest)]
    return burn_in + steps * sum(n * share for n, share in enumerate(alive, 1)) / sum(alive)


class Work:
    """Runs commands; the folder `root` keeps their log, their seconds, and the finished ones."""

    def __init__(self, root: Path):
        make_folder(str(root))
        self.log, self._file = root / "log.txt", root / "stages.json"
        known = read_json(self._file) if self._file.exists() else {}
        self.seconds, self.finished = known.get("seconds", {}), known.get("finished", {})

    def run(self, name: str, command: list[str]) -> None:
        """Run or continue a command and pass signals on to it; exit with its status if it fails."""
        self.say(f"# {name}: {shlex.join(['python3', *command])}")
        began = time.monotonic() - self.seconds.get(name, 0.0)
        with started(command, stdout=subprocess.PIPE, text=True) as process:
            with process.stdout as lines:
                for line in lines:
                    self.say(line.rstrip("\n"))
                    self._note(name, time.monotonic() - began)
            status = process.wait()
        if status:
            self.say(f"{name} ended with exit status {status}; the same command continues it")
            sys.exit(status)
        self.finished[name] = command
        self._note(name, time.monotonic() - began)

    def say(self, line: str) -> None:
        """Print a line and append it to the log."""
        print(line, flush=True)
        with one_line_write_errors(str(self.log)), open(self.log, "a", encoding="utf-8") as file:
            file.write(f"{line}\n")

    def _note(self, name: str, seconds: float) -> None:
        self.seconds[name] = round(seconds, 1)
        write(self._file, json.dumps({"seconds": self.seconds, "finished": self.finished}))


if __name__ == "__main__":
    main()
