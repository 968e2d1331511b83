"""Score of a shortrun model of ImageNet, 128x128: the published evaluation.

49,920 samples of 320 steps. Published result: FID 42.3 (50,000 samples). `ebm_weights` and
`gen_weights` are to be filled in: files that `train.py` saved, or published checkpoints. Sized
for GPUs or TPUs; `--dry-run` estimates the time on yours. Compare with the published FID only
what `feature_net=inception_tf1` gives; the default is another number.

    python3 fid.py configs_fid/fid_shortrun_imagenet.py
"""

config = {
    "root_path": "ebm-life-cycle/",
    "gs_path": None,
    "exp_name": "imagenet_shortrun_test",
    "exp_dir": "tf_out/fid",
    "device_type": "gpu",
    "data_type": "imagenet2012",
    "data_dir": "imagenet2012_tfds",
    "data_download": False,
    "random_crop": False,
    "exp_type": "single",
    "num_fid_rounds": 520,
    "batch_size": 96,
    "image_dims": [128, 128, 3],
    "split": "train",
    "ebm_weights": "",
    "gen_weights": "",
    "ckpt_folder": "",
    "step_freq": 5000,
    "min_step": 140000,
    "max_step": 140000,
    "net_type": "ebm_sngan",
    "mcmc_steps": 320,
    "epsilon": 0.003,
    "mcmc_init": "coop",
    "mcmc_temp": 1e-07,
    "max_langevin_norm": 2.0,
    "clip_langevin_grad": False,
    "gen_type": "gen_sngan",
    "z_sz": 128,
    "fixed_gen": False,
}
