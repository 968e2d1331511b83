"""Score of the shortrun emoji model of `configs/emoji32_nonconv.py`, with both baselines.

243 samples, as many as the split held out has pictures, against the 858 pictures that the model
learned on. A score after 0 steps is that of the generator alone; training saw chains of 20 to 80
steps, 35 on average. The step size and temperature are those stored in the EBM's weights. Half a
minute on two CPU cores.

    python3 fid.py configs_fid/emoji32_shortrun.py
"""

from configs_clf import emoji32_wrn

config = {
    "exp_name": "shortrun",
    "exp_dir": "tf_out/fid_emoji32",
    "device_type": "cpu",
    "data_type": "emoji32",
    "data_labels": emoji32_wrn.config["data_labels"],
    "image_dims": [32, 32, 3],
    "exp_type": "single",
    "num_samples": 243,
    "batch_size": 81,
    "reference_samples": 858,
    "heldout_split": "test",
    "net_type": "ebm_sngan",
    "ebm_weights": "examples/weights/emoji32_nonconv_ebm.weights.h5",
    "mcmc_init": "coop",
    "mcmc_steps": 80,
    "fid_steps": [0, 20, 35, 80],
    "gen_type": "gen_sngan",
    "gen_weights": "examples/weights/emoji32_nonconv_gen.weights.h5",
    "feature_net": "classifier",
    "clf_weights": "examples/weights/emoji32_wrn.weights.h5",
}
