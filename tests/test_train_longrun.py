"""train_longrun.py: its bank rules against a plain model, its runs, and a density one can know."""

import functools

import keras
import numpy as np
import pytest
import tensorflow as tf

import train_longrun
from tests.runs import assert_same, cpus, rows, splits, state
from train_longrun import Banks, put_back
from utils.config.load import load_config
from utils.learning.learners import create_learner
from utils.learning.models import Models, create_models
from utils.mcmc.banks import Bank, Shelves, redraw_counts
from utils.mcmc.langevin import Dynamics, langevin
from utils.mcmc.noise import make_noise
from utils.mcmc.sampling import run_both
from utils.mcmc.starts import Sources, open_sources
from utils.replicas import Replicas
from utils.seeds import Purpose, fold, host_rng

SMALL = [
    "num_training_steps=4", "batch_size=4", "ebm_width=4", "persistent_size=8", "burnin_size=8",
    "mcmc_step_info=[[2,2,2,0]]", "info_freq=2", "log_freq=4", "state_freq=2",
]  # fmt: skip


def _bank(images: np.ndarray, batch: int) -> Bank:
    return Bank(Shelves(len(images), batch, slice(0, batch)), images)


def _numbered_bank(size: int, first: float, batch: int) -> Bank:
    """A bank whose images say by their value who they are."""
    values = first + np.arange(size, dtype=np.float32)
    return _bank(values[:, None, None, None], batch)


@pytest.mark.parametrize("threshold", [1, 3, 10_000])
def test_banks_follow_the_rules_as_a_plain_model_tells_them(threshold):
    """Hundreds of updates, image by image: an image is the pair (name, Langevin steps taken)."""
    steps, burn_in, batch = 5, 7, 4
    banks = Banks(_numbered_bank(12, 0, batch), _numbered_bank(8, 100, batch))
    redraw_counts(banks.burn_in, threshold, host_rng(0, Purpose.BURN_IN_COUNTS, 0))
    counts = banks.burn_in.counts.tolist()
    update, burning = [float(i) for i in range(12)], [100.0 + i for i in range(8)]
    ages, seen_moves = [0] * 12, 0
    for number in range(300):
        rng = host_rng(0, Purpose.BANK_DRAW, number)
        drawn, burnt = banks.update.draw(rng), banks.burn_in.draw(rng)
        new = np.full((batch, 1, 1, 1), 1000.0 + number, np.float32)
        ends = (drawn.images + steps, burnt.images + burn_in, new)  # a step adds 1
        assert drawn.counts.tolist() == [ages[slot] for slot in drawn.slots]
        put_back(banks, (drawn, burnt), ends, [steps, burn_in, threshold, 0])

        for slot, other in zip(drawn.slots, burnt.slots, strict=True):
            update[slot], ages[slot] = update[slot] + steps, ages[slot] + steps
            burning[other] += burn_in
            if counts[other] >= threshold:
                update[slot], ages[slot] = burning[other], (counts[other] + 1) * burn_in
                burning[other], counts[other], seen_moves = 1000.0 + number, 0, seen_moves + 1
            else:
                counts[other] += 1
    assert banks.update.images.ravel().tolist() == update
    assert banks.burn_in.images.ravel().tolist() == burning
    assert banks.burn_in.counts.tolist() == counts
    assert banks.update.counts.tolist() == ages
    assert (seen_moves > 0) == (threshold < 10_000)


def test_images_move_over_steadily_one_in_threshold_plus_one_draws():
    banks, moves = Banks(_numbered_bank(200, 0, 50), _numbered_bank(400, 1000, 50)), []
    redraw_counts(banks.burn_in, 4, host_rng(0, Purpose.BURN_IN_COUNTS, 0))
    assert set(banks.burn_in.counts) == {0, 1, 2, 3}
    for number in range(500):
        rng = host_rng(1, Purpose.BANK_DRAW, number)
        drawn, burnt = banks.update.draw(rng), banks.burn_in.draw(rng)
        moves.append((burnt.counts >= 4).mean())
        ends = (drawn.images, burnt.images, burnt.images)
        put_back(banks, (drawn, burnt), ends, [1, 1, 4, 0])
    # A binomial of 50 * 500 draws; counts of one image are dependent, which only narrows it.
    assert np.mean(moves) == pytest.approx(1 / 5, abs=5 * np.sqrt(0.16 / 25_000) + 0.2 / 500)


@pytest.fixture
def run(start_run):
    """Return (changes) -> run folder of a small run without a prior."""
    return functools.partial(start_run, train_longrun.main, "configs_lr/smoke.py", *SMALL)


def test_a_resumed_run_equals_an_uninterrupted_one_and_leaves_what_the_design_says(run):
    """On two replicas, with counts redrawn by a new row of the schedule after the resume."""
    options = ["num_replicas=2", "mcmc_step_info=[[2,2,2,0],[2,2,5,3]]"]
    whole, parts = run(*options), run(*options, "num_training_steps=2")
    assert splits(whole) == ["train"]
    train_longrun.main(["--resume", str(parts), "--set", "num_training_steps=4"])
    assert_same(state(whole), state(parts))
    times = {"seconds": ""}
    assert [r | times for r in rows(whole)] == [r | times for r in rows(parts)]
    assert rows(whole)[0]["chain_steps"] == "2"
    files = {str(p.relative_to(whole)) for p in whole.rglob("*") if p.is_file()}
    expected = {f"shortrun/{n}4.png" for n in ("longrun", "persistent", "burnin")}
    expected |= {"plots/diagnostics.png", "plots/burn_in_counts.png", "code/train_longrun.py"}
    expected |= {"report.html", "code/utils/report/page.html.jinja"}
    expected |= {"checkpoints/ebm_4.weights.h5", "checkpoints/ebm_ema_4.weights.h5"}
    expected |= {f"state/4/{name}_0_4.npz" for name in ("bank", "burnin")}
    assert expected <= files


def test_a_prior_of_train_py_is_corrected_and_stays_as_it_is_to_the_last_bit(
    run, repository, monkeypatch
):
    weights = repository / "examples/weights/emoji32_prior_ebm.weights.h5"
    seen: list[Models] = []

    def create(*args, **options):
        seen.append(create_models(*args, **options))
        return seen[0]

    monkeypatch.setattr(train_longrun, "create_models", create)
    run(f"prior_weights={weights}", "prior_temp=0.001")
    config = load_config("configs/smoke.py", [f"ebm_weights={weights}", "ebm_width=None"])
    stored = create_models(config, Replicas(config), load_learned=True)
    for now, before in zip(seen[0].prior.weights, stored.ebm.network.weights, strict=True):
        np.testing.assert_array_equal(now.numpy(), before.numpy())


@pytest.mark.parametrize("init", ["persistent", "coop_persistent"])
def test_refills_come_from_noise_of_the_configs_scale_or_from_the_generator(run, init):
    generator = ["gen_type=gen_sngan", "gen_width=4", "update_generator=False"]
    options = ["persistent_init_scale=0.01", "epsilon=0.0", "mcmc_step_info=[[2,2,1,0]]"]
    folder = run(f"mcmc_init={init}", *options, *(generator if init.startswith("coop") else []))
    banks = [state(folder)[f"{name}_0_4/images"] for name in ("bank", "burnin")]
    low, high = (0, 0.01) if init == "persistent" else (0.01, 1)
    for images in banks:
        assert low < np.abs(images).max() <= high


@pytest.mark.parametrize("replicas", [1, 2])
def test_banks_filled_from_data_begin_with_no_picture_in_both(replicas):
    config = load_config("configs_lr/smoke.py", script="train_longrun")  # 32 and 16 of 858
    replicas = Replicas({**config, "num_replicas": replicas})
    sources = open_sources(config, replicas)
    banks = train_longrun.create_banks(config, replicas, Models(*[None] * 4), sources, empty=False)
    images = [x for bank in banks for x in bank.images]
    assert len({x.tobytes() for x in images}) == len(images) == 48


class Toy:
    """A world of one number: what `train_longrun.make_update` needs of data, models and config."""

    config = {
        "seed": 0, "image_dims": [1, 1, 1], "epsilon": 0.15, "mcmc_temp": 1.0, "prior_temp": 1.0,
        "prior_weights": "the prior below",
        "tau": None, "clip_langevin_grad": False, "mcmc_init": "data_persistent",
        "data_type": "toy", "data_epsilon": 0.0, "mcmc_step_info": [[10, 10, 20, 0]],
    }  # fmt: skip
    mixture = ((0.3, -0.5, 0.2), (0.7, 0.5, 0.2))  # weight, mean, standard deviation

    def __init__(self, updates: int):
        inputs = keras.Input((1, 1, 1))
        hidden = keras.layers.Flatten()(inputs)
        for seed in (1, 2):
            initial = keras.initializers.GlorotUniform(seed)
            layer = keras.layers.Dense(32, "softplus", kernel_initializer=initial)
            hidden = layer(hidden)
        last = keras.layers.Dense(1, use_bias=False, kernel_initializer="zeros")
        network = keras.Model(inputs, last(hidden))
        rates = [[1e-2, 0], [2e-3, updates // 2], [2e-4, 4 * updates // 5]]
        self.models = Models(
            create_learner(network, kind="adam", rates=rates), self.prior, *[None] * 2
        )

    @staticmethod
    def prior(images: tf.Tensor) -> tf.Tensor:
        """The energy of a normal distribution of standard deviation 0.6."""
        return tf.reshape(tf.square(images) / (2 * 0.6**2), (-1, 1))

    def batch(self, number: int) -> np.ndarray:
        return self.draw(host_rng(0, Purpose.DATA, number), 64)

    def banks(self) -> Banks:
        rngs = [host_rng(0, Purpose.BANK_FILL, i) for i in range(2)]
        return Banks(*(_bank(self.draw(rng, 512), 64) for rng in rngs))

    def draw(self, rng: np.random.Generator, count: int) -> np.ndarray:
        weights, means, deviations = np.array(self.mixture).T
        kinds = rng.choice(2, count, p=weights)
        values = rng.normal(means[kinds], deviations[kinds])
        return values.astype(np.float32).reshape(count, 1, 1, 1)


def toy_update(toy: Toy, banks: Banks):
    """Return `train_longrun`'s update of a toy, on the CPU."""

    def refills(number, retry):
        return toy.draw(host_rng(0, Purpose.CHAIN_DATA, number), 64)

    sources = Sources(toy, toy.batch, refills)
    replicas = cpus(batch_size=64)
    return train_longrun.make_update(toy.config, replicas, sources, toy.models, banks)


def test_counts_are_drawn_anew_where_a_row_of_the_schedule_begins():
    toy = Toy(3)
    toy.config = {**toy.config, "mcmc_step_info": [[1, 1, 50, 0], [1, 1, 3, 2]]}
    banks = toy.banks()
    update = toy_update(toy, banks)
    for number, threshold in enumerate([50, 50, 3]):
        update(number)
        counts = banks.burn_in.counts
        assert counts.max() <= threshold
        drawn_once = np.isin(np.arange(threshold), counts).mean()
        assert drawn_once > 0.9, "spread over all that is below the threshold"


@pytest.mark.slow
def test_a_correction_of_a_gaussian_prior_keeps_a_mixture_of_two_modes():
    """Chains of 20,000 steps from either mode keep weights and moments of the learned density.

    That density is known, because numbers can be integrated over; it is near the mixture's.
    """
    updates = 2500
    toy = Toy(updates)
    banks = toy.banks()
    update = toy_update(toy, banks)
    for number in range(updates):
        update(number)

    def potential(images):
        return toy.models.ebm.network(images)[:, 0] + toy.prior(images)[:, 0]

    grid = np.linspace(-2, 2, 4001, dtype=np.float32)
    density = np.exp(-potential(grid.reshape(-1, 1, 1, 1)).numpy().astype(np.float64))
    density /= density.sum()
    right, mean = density[grid > 0].sum(), (density * grid).sum()
    square = (density * grid**2).sum()
    # Over eight seeds these were 0.726 +- 0.015, 0.231 +- 0.016 and 0.291 +- 0.008 (standard
    # deviations; steps of finite size shift the first two). The prior's are 0.5, 0 and 0.36.
    assert right == pytest.approx(0.7, abs=0.1)
    assert mean == pytest.approx(0.2, abs=0.1)
    assert square == pytest.approx(0.29, abs=0.05)

    count = 600
    starts = tf.reshape(tf.repeat([-0.5, 0.5], count // 2), (count, 1, 1, 1))
    noise = make_noise(fold(0, Purpose.EVALUATION), starts)
    chain = functools.partial(langevin, num_steps=20_000, noise=noise)
    ends = tf.function(lambda x: chain(x, Dynamics(potential, 0.15)).images)(starts).numpy().ravel()
    # 5 standard errors of independent chains, and the bias of steps of finite size.
    assert (ends > 0).mean() == pytest.approx(right, abs=5 * np.sqrt(0.21 / count))
    assert ends.mean() == pytest.approx(mean, abs=5 * np.sqrt((square - mean**2) / count))
    assert (ends**2).mean() == pytest.approx(
        square, abs=5 * (ends**2).std() / np.sqrt(count) + 0.02
    )


def test_one_batch_of_chains_equals_two(monkeypatch):
    """The same noise either way: equal up to float32 sums of other orders."""
    config = load_config("configs_lr/smoke.py", SMALL, "train_longrun")
    replicas, rng = Replicas(config), host_rng(0, Purpose.PLOTS)
    data, *starts = (rng.uniform(-1, 1, (4, 32, 32, 3)).astype(np.float32) for _ in range(3))
    sources = Sources(None, lambda number: data, lambda number, retry: data)
    ends = []
    for together in (True, False):
        monkeypatch.setattr(train_longrun, "run_both", lambda *x, t=together: run_both(*x[:-1], t))
        models = create_models(config, replicas, load_learned=True)
        banks = Banks(*(_bank(images.copy(), 4) for images in starts))
        banks.update.counts = np.array([0, 2, 4, 10])
        update = train_longrun.make_update(config, replicas, sources, models, banks)
        metrics = update(5).metrics
        assert metrics["chain_steps"] == 4 + 2, "the mean of what was taken, and 2 more"
        images = [bank.images for bank in banks]
        ends.append([*images, metrics["grad_norm"], metrics["energy_diff"]])
    for one, two in zip(*ends, strict=True):
        np.testing.assert_allclose(one, two, rtol=1e-3, atol=2e-5)
