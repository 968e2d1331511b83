"""Score of longrun samples on CIFAR-10, 32x32: the published evaluation.

5,088 samples of 1,000,000 steps under the EBM and its prior together. Published result: FID
49.2 at 100,000 steps and 51.7 at 1,000,000 (`--set "fid_steps=[100000,1000000]"` gives both from
one chain). `ebm_weights`, `prior_weights` and `gen_weights` are to be filled in. Days on a GPU.
Compare with the published FID only what `feature_net=inception_tf1` gives.

    python3 fid.py configs_fid/fid_longrun_cifar10.py
"""

config = {
    "root_path": "ebm-life-cycle/",
    "gs_path": None,
    "exp_name": "cifar10_longrun_test",
    "exp_dir": "tf_out/fid",
    "device_type": "gpu",
    "data_type": "cifar10",
    "data_dir": "cifar10_tfds",
    "data_download": True,
    "exp_type": "single",
    "num_fid_rounds": 53,
    "batch_size": 96,
    "image_dims": [32, 32, 3],
    "split": "train",
    "ebm_weights": "",
    "gen_weights": "",
    "ckpt_folder": "",
    "step_freq": 5000,
    "min_step": 140000,
    "max_step": 140000,
    "net_type": "ebm_sngan",
    "prior_weights": "",
    "prior_temp": 0.0001,
    "mcmc_steps": 1000000,
    "epsilon": 0.01,
    "mcmc_init": "coop",
    "mcmc_temp": 0.0001,
    "tau": 0.15,
    "joint_temp": 1.005,
    "clip_langevin_grad": False,
    "max_langevin_norm": 100,
    "gen_type": "gen_sngan",
    "z_sz": 128,
    "fixed_gen": True,
}
