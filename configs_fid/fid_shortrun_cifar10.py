"""Score of a shortrun model of CIFAR-10, 32x32: the published evaluation.

49,920 samples of 350 steps. Published result: FID 22.1 (50,000 samples). `ebm_weights` and
`gen_weights` are to be filled in: files that `train.py` saved, or published checkpoints. Sized
for GPUs or TPUs; `--dry-run` estimates the time on yours. Compare with the published FID only
what `feature_net=inception_tf1` gives; the default is another number.

    python3 fid.py configs_fid/fid_shortrun_cifar10.py
"""

config = {
    "root_path": "ebm-life-cycle/",
    "gs_path": None,
    "exp_name": "cifar10_shortrun_test",
    "exp_dir": "tf_out/fid",
    "device_type": "gpu",
    "data_type": "cifar10",
    "data_dir": "cifar10_tfds",
    "data_download": True,
    "exp_type": "single",
    "num_fid_rounds": 520,
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
    "mcmc_steps": 350,
    "epsilon": 0.005,
    "mcmc_init": "coop",
    "mcmc_temp": 0.0001,
    "grad_steps": 0,
    "clip_langevin_grad": False,
    "max_langevin_norm": 0.1,
    "gen_type": "gen_sngan",
    "z_sz": 128,
    "fixed_gen": False,
}
