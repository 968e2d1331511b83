"""The whole life cycle on one laptop: what chains of different length make of an EBM.

    python3 -m examples.life_cycle [--quick] [--work DIR] [--out DIR]

Runs the five scripts on emoji32, each by a command that it prints: trains a classifier, and a
shortrun, a midrun, and a longrun EBM with its prior; follows chains of all three from the same
generator for 1, 10 and 100 times the chain that they were trained with; and attacks the classifier,
bare and behind each of them. Writes results.json, table.md, picture.png and log.txt. Takes 103
minutes on two cores of an AMD EPYC, with --quick some six. After a kill the same command goes on,
and what is finished is not repeated.
"""

import argparse
import csv
import json
import shlex
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import utils.before_tensorflow

import numpy as np
from matplotlib.figure import Figure
from PIL import Image

from benchmarks.machine import machine
from utils.config.load import REPOSITORY, load_config
from utils.errors import one_line_errors
from utils.files.whole import make_folder, whole_file
from utils.run.plots import save_figure
from utils.run.signals import Interruption

REGIMES = ("shortrun", "midrun", "longrun")
SHORT = "num_training_steps=40 batch_size=8 state_freq=20 log_freq=40 mcmc_step_info="
QUICK_CLASSIFIER = "num_epochs=3 lr_switch_epochs=[1,2]"
TRAINING = {  # stage: script, config, changes of --quick
    "classifier": ("train_clf", "configs_clf/emoji32_wrn.py", QUICK_CLASSIFIER),
    "shortrun": ("train", "configs/emoji32_nonconv.py", f"{SHORT}[[5,0,0.5,0]]"),
    "midrun": ("train", "configs/emoji32_medconv.py", f"{SHORT}[[5,0,0.25,0]]"),
    "prior": ("train", "configs/emoji32_prior.py", f"{SHORT}[[5,0,0.5,0]]"),
    "longrun": ("train_longrun", "configs_lr/emoji32_conv.py", f"{SHORT}[[5,5,1,0]]"),
}  # fmt: skip
SCORE = ("fid", "configs_fid/emoji32_shortrun.py", "")
ATTACK = ("attack", "configs_attack/emoji32.py", "batch_size=8 adv_steps=3 langevin_steps=20")
FACTORS = (1, 10, 100)  # times the training chain
CHAINS = {10: (256, 16), 100: (32, 8)}  # up to a factor: in full, with --quick
ACCURACIES = ("natural", "control", "robust")


@one_line_errors
def main(argv: Sequence[str] | None = None) -> None:
    """Run what is not finished, then write the results."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="in minutes; says nothing")
    parser.add_argument("--work", type=Path, help="run folders; default tf_out/life_cycle")
    parser.add_argument("--out", type=Path, help="results; default examples/life_cycle")
    arguments = parser.parse_args(argv)
    folder = "life_cycle_quick" if arguments.quick else "life_cycle"
    root = arguments.work or Path("tf_out") / folder
    out = arguments.out or (root / "results" if arguments.quick else Path("examples") / folder)

    cycle, work = Cycle(root, arguments.quick), Work(root)
    for name, command in cycle.commands.items():
        if work.finished.get(name) != command:
            work.run(name, command)
    report(out, root, cycle.steps, work)
    print(f"done: {out}", flush=True)


class Cycle:
    """The commands of all stages in their order, and the steps of each regime's own chains."""

    def __init__(self, root: Path, quick: bool):
        self.root, self.quick, self.commands, self.configs = root, quick, {}, {}
        for name, script in TRAINING.items():
            self.configs[name] = self._add(name, script, self._prior(name))
        self.steps = {name: round(mean_chain_steps(self.configs[name])) for name in REGIMES}
        for name in REGIMES:
            for factor in CHAINS:
                self._score(name, factor)
        for name in ("bare", *REGIMES):
            self._attack(name)

    def _add(self, name: str, stage: Sequence[str], changes: Sequence[str]) -> Mapping[str, Any]:
        """Add the command of a stage and return its config; raises UserError for a wrong one."""
        script, path, short = stage
        changes = [*short.split() * self.quick, *changes, f"exp_dir={self.root}"]
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

    def _score(self, name: str, factor: int) -> None:
        """Score a regime's chains where any regime has its 1x, 10x or 100x: at equal numbers."""
        chains, last = CHAINS[factor][self.quick], self.steps[name] * factor
        ends = {steps * each for steps in self.steps.values() for each in FACTORS}
        changes = (
            f"ebm_weights={self._weights(name)}",
            f"clf_weights={self._weights('classifier', 'clf')}", *self._prior(name),
            f"gen_weights={self._weights('shortrun', 'gen')}",
            f"num_samples={chains}", f"batch_size={min(chains, 64)}",
            f"heldout_split={'test' if factor == max(CHAINS) else None}",
            f"mcmc_steps={last}",
            f"fid_steps={[0, *sorted(end for end in ends if end <= last)]}".replace(" ", ""),
        )  # fmt: skip
        self._add(f"{name}_{factor}x", SCORE, changes)

    def _attack(self, name: str) -> None:
        changes = ["ebm_weights=None", "langevin_steps=0"]
        if name != "bare":
            changes = [f"ebm_weights={self._weights(name)}", *self._prior(name)]
            changes += [f"{k}={self.configs[name][k]}" for k in ("epsilon", "mcmc_temp", "tau")]
        changes.append(f"clf_weights={self._weights('classifier', 'clf')}")
        self._add(f"attack_{name}", ATTACK, changes)


def mean_chain_steps(config: Mapping[str, Any]) -> float:
    """Return the mean number of Langevin steps behind a negative sample, in the steady state.

    Of `train.py`: each draw rejuvenates a state with a probability p, and when it is older than
    `max_mcmc_updates`. Of `train_longrun.py`: an image burns in for `threshold` + 1 draws, and each
    draw from the update bank replaces it with probability 1 / (threshold + 1): of banks much larger
    than a batch. (On small shelves images burn in at regular times: 1% less for `emoji32_conv.py`.)
    """
    steps, burn_in, rule, _ = config["mcmc_step_info"][-1]
    if "burnin_size" in config:
        return (rule + 1) * (burn_in + steps)
    oldest = config["max_mcmc_updates"] + 2 if config["max_mcmc_updates"] else 100_000
    alive = [(1 - rule) ** draw for draw in range(oldest)]
    return burn_in + steps * sum(n * share for n, share in enumerate(alive, 1)) / sum(alive)


class Work:
    """Runs commands in turn; `root` keeps their log, their seconds, and which are finished."""

    def __init__(self, root: Path):
        make_folder(str(root))
        self.log, self._file = root / "log.txt", root / "stages.json"
        known = _read(self._file) if self._file.exists() else {}
        self.seconds, self.finished = known.get("seconds", {}), known.get("finished", {})

    def run(self, name: str, command: list[str]) -> None:
        """Run a command to its end, from where it was, and hand signals on to it.

        Exits with its status where it does not come to its end.
        """
        self.say(f"# {name}: {shlex.join(['python3', *command])}")
        began, interruption = time.monotonic() - self.seconds.get(name, 0.0), Interruption()
        process = subprocess.Popen(
            [sys.executable, str(REPOSITORY / command[0]), *command[1:]],
            stdout=subprocess.PIPE, text=True, start_new_session=True,
        )  # fmt: skip
        try:
            hand_on = interruption.noted(lambda: process.send_signal(interruption.number))
            with hand_on, process.stdout as lines:
                for line in lines:
                    self.say(line.rstrip("\n"))
                    self._note(name, time.monotonic() - began)
                status = process.wait()
        finally:
            process.kill()  # nobody listens to it any more
        if status:
            self.say(f"{name} ended with exit status {status}; the same command goes on")
            sys.exit(status)
        self.finished[name] = command
        self._note(name, time.monotonic() - began)

    def say(self, line: str) -> None:
        """Print a line, and write it to the log of all sittings."""
        print(line, flush=True)
        with open(self.log, "a") as file:
            file.write(f"{line}\n")

    def _note(self, name: str, seconds: float) -> None:
        self.seconds[name] = round(seconds, 1)
        _write(self._file, json.dumps({"seconds": self.seconds, "finished": self.finished}))


def report(out: Path, root: Path, steps: Mapping[str, int], work: Work) -> None:
    """Write all results into a folder."""
    make_folder(str(out))
    minutes = round(sum(work.seconds.values()) / 60, 1)
    results = collect(root, steps) | {"minutes": minutes, "stages": work.seconds}
    _write(out / "results.json", json.dumps(results, indent=1) + "\n")
    _write(out / "table.md", table(results))
    draw(results, root, str(out / "picture.png"))
    _write(out / "log.txt", work.log.read_text().replace(f"{REPOSITORY}/", ""))


def collect(root: Path, steps: Mapping[str, int]) -> dict[str, Any]:
    """Return what was measured: of the classifier, of its attacks, and by regime."""
    with open(root / "classifier" / "metrics.csv", newline="") as file:
        accuracy = float(list(csv.DictReader(file))[-1]["test_accuracy"])  # of the last weights
    results = {"machine": machine(), "test_accuracy": accuracy, "attacks": {}, "regimes": {}}
    for name in ("bare", *steps):
        found = _read(root / f"attack_{name}" / "data_log" / "report.json")
        kept = {key: found[key] for key in ("images", *ACCURACIES, "seconds", "image_steps")}
        results["attacks"][name] = kept | {"langevin_steps": found["setting"]["langevin_steps"]}
    for name, own in steps.items():
        many, few = (_read(root / f"{name}_{factor}x" / "report.json") for factor in CHAINS)
        scores = [*many["scores"], *few["scores"]]
        validity = few["validity"]["model"]
        results["regimes"][name] = {"training_chain": own, "scores": scores, "validity": validity}
    return results


def table(results: Mapping[str, Any]) -> str:
    """Return the tables: at 1x, 10x and 100x; at equal numbers of steps; and the attacks."""
    regimes, attacks = results["regimes"], results["attacks"]
    (many, chains), (few, fewer) = (_scores(regimes, choose) for choose in (max, min))
    counts = [chains] * 2 + [fewer] * 3
    columns = [f"at {f}x ({n})" for f, n in zip((*FACTORS[:2], *FACTORS), counts, strict=True)]
    lines = _head(f"FID[classifier] (KID) of chains, {chains} and {fewer}", "1x", *columns)
    for name, regime in regimes.items():
        at = [regime["training_chain"] * factor for factor in FACTORS]
        scores = [*(many[name, steps] for steps in at[:2]), *(few[name, steps] for steps in at)]
        lines.append(_row(name, f"{at[0]:,} steps", *(_text(score) for score in scores)))

    ends = sorted({r["training_chain"] * factor for r in regimes.values() for factor in FACTORS})
    columns = [f"{end:,} steps" for end in ends]
    lines += ["", *_head(f"FID[classifier] of {fewer} chains after", "start", *columns)]
    lines += [_row(name, *(_fid(few, name, end) for end in (0, *ends))) for name in regimes]
    held_out = [_fid(few, REGIMES[0], None), *[""] * len(ends)]
    lines.append(_row(f"{fewer} held-out pictures", *held_out))

    images = max(attack["images"] for attack in attacks.values())
    lines += ["", *_head(f"classifier, {images} images", *ACCURACIES, "robust, 95% interval")]
    for name, attack in attacks.items():
        behind = f"behind {name}, {attack['langevin_steps']} steps" if name != "bare" else name
        shares = [f"{attack[each]['accuracy']:.2f}" for each in ACCURACIES]
        lines.append(_row(behind, *shares, "[{low:.2f}, {high:.2f}]".format(**attack["robust"])))
    return "\n".join(lines) + "\n"


def draw(results: Mapping[str, Any], root: Path, path: str) -> None:
    """Draw the chains of every regime at their start, and after 1, 10 and 100 training chains."""
    regimes, few = results["regimes"], _scores(results["regimes"], min)[0]
    figure = Figure(figsize=(13, 3.5 * len(regimes)), layout="constrained")
    cells = figure.subplots(len(regimes), 1 + len(FACTORS))
    for row, (name, regime) in zip(cells, regimes.items(), strict=True):
        for axes, factor in zip(row, (0, *FACTORS), strict=True):
            steps = regime["training_chain"] * factor
            grid = Image.open(root / f"{name}_{max(CHAINS)}x" / "images" / f"grid_{steps}.png")
            axes.imshow(np.asarray(grid))
            what = f"{factor}x: {steps:,} steps" if factor else "start"
            axes.set(xticks=[], yticks=[])
            axes.set_title(f"{what}\nFID[classifier] {_fid(few, name, steps)}")
        row[0].set_ylabel(name, fontsize=14)
    save_figure(figure, path)


def _head(*columns: str) -> list[str]:
    return [_row(*columns), "|" + "---|" * len(columns)]


def _row(*cells: str) -> str:
    return f"| {' | '.join(cells)} |"


def _scores(regimes: Mapping[str, Any], choose: Callable) -> tuple[dict, int]:
    """Return scores of most or fewest chains by (regime, steps; None: data), and their number."""
    every = [(name, score) for name, regime in regimes.items() for score in regime["scores"]]
    images = choose(score["images"] for _, score in every if score["steps"] is not None)
    return {(n, s["steps"]): s for n, s in every if s["images"] == images}, images


def _fid(scores: Mapping[tuple, Any], name: str, steps: int | None) -> str:
    return f"{scores[name, steps]['fid']:.2f}" if (name, steps) in scores else "-"


def _text(score: Mapping[str, Any]) -> str:
    error = "" if score["kid_error"] is None else f" ± {score['kid_error']:.3f}"
    return f"{score['fid']:.2f} ({score['kid']:.3f}{error})"


def _read(path: Path) -> dict[str, Any]:
    return json.loads(path.read_text())


def _write(path: Path, text: str) -> None:
    with whole_file(str(path)) as temporary:
        Path(temporary).write_text(text)


if __name__ == "__main__":
    main()
