"""Score of a shortrun model of CelebA, 64x64: the published evaluation.

49,920 samples of 300 steps. Published result: FID 19.7 (50,000 samples). `ebm_weights` and
`gen_weights` are to be filled in: files that `train.py` saved, or published checkpoints. Sized
for GPUs or TPUs; `--dry-run` estimates the time on yours. Compare with the published FID only
what `feature_net=inception_tf1` gives; the default is another number.

    python3 fid.py configs_fid/fid_shortrun_celeb_a.py
"""

config = {
    "root_path": "ebm-life-cycle/",
    "gs_path": None,
    "exp_name": "celeb_a_shortrun_test",
    "exp_dir": "tf_out/fid",
    "device_type": "gpu",
    "data_type": "celeb_a",
    "data_dir": "celeb_a_tfds",
    "data_download": False,
    "exp_type": "single",
    "num_fid_rounds": 520,
    "batch_size": 96,
    "image_dims": [64, 64, 3],
    "split": "train",
    "ebm_weights": "",
    "gen_weights": "",
    "ckpt_folder": "",
    "step_freq": 5000,
    "min_step": 140000,
    "max_step": 140000,
    "net_type": "ebm_sngan",
    "mcmc_steps": 300,
    "epsilon": 0.003,
    "mcmc_init": "coop",
    "mcmc_temp": 1e-06,
    "grad_steps": 0,
    "clip_langevin_grad": False,
    "max_langevin_norm": 0.25,
    "gen_type": "gen_sngan",
    "z_sz": 128,
    "fixed_gen": False,
}
