"""Score of the shortrun Fashion-MNIST model of `configs/fashion_nonconv.py`, with both baselines.

5,000 samples against 10,000 training pictures. A score after 0 steps is that of the generator
alone; training saw chains of 20 to 80 steps, 35 on average. The step size and temperature are those
stored in the EBM's weights.

    python3 fid.py configs_fid/fashion_shortrun.py --set data_download=True
"""

config = {
    "exp_name": "shortrun",
    "exp_dir": "tf_out/fid_fashion",
    "device_type": "cpu",
    "data_type": "fashion_mnist",
    "image_dims": [32, 32, 1],
    "exp_type": "single",
    "num_samples": 5000,
    "batch_size": 100,
    "reference_samples": 10000,
    "heldout_split": "test",
    "net_type": "ebm_sngan",
    "ebm_weights": "examples/weights/fashion_nonconv_ebm.weights.h5",
    "mcmc_init": "coop",
    "mcmc_steps": 35,
    "segment_steps": 5,
    "fid_steps": [0, 20, 35],
    "gen_type": "gen_sngan",
    "gen_weights": "examples/weights/fashion_nonconv_gen.weights.h5",
    "feature_net": "classifier",
    "clf_weights": "examples/weights/fashion_wrn.weights.h5",
}
