"""Score of the shortrun emoji model of `configs/emoji32_nonconv.py`, with both baselines.

400 samples, as many as the split held out has pictures, against the 1,492 pictures that the model
learned on. A score after 0 steps is that of the generator alone; training saw chains of 20 to 60
steps. The step size and temperature are those stored in the EBM's weights. About a minute on two
CPU cores.

    python3 fid.py configs_fid/emoji32_shortrun.py
"""

config = {
    "exp_name": "shortrun",
    "exp_dir": "tf_out/fid_emoji32",
    "device_type": "cpu",
    "data_type": "emoji32",
    "image_dims": [32, 32, 3],
    "exp_type": "single",
    "num_samples": 400,
    "batch_size": 100,
    "reference_samples": 1492,
    "heldout_split": "test",
    "net_type": "ebm_sngan",
    "ebm_weights": "examples/weights/emoji32_nonconv_ebm.weights.h5",
    "mcmc_init": "coop",
    "mcmc_steps": 60,
    "fid_steps": [0, 20, 60],
    "gen_type": "gen_sngan",
    "gen_weights": "examples/weights/emoji32_nonconv_gen.weights.h5",
    "feature_net": "classifier",
    "clf_weights": "examples/weights/emoji32_wrn.weights.h5",
}
