"""Score of longrun samples on ImageNet, 64x64: the published evaluation.

5,088 samples of 1,000,000 steps under the EBM and its prior together. Published result: FID
82.3 at 100,000 steps and 77.8 at 1,000,000 (`--set "fid_steps=[100000,1000000]"` gives both from
one chain). `ebm_weights`, `prior_weights` and `gen_weights` are to be filled in. Days on a GPU.
Compare with the published FID only what `feature_net=inception_tf1` gives.

    python3 fid.py configs_fid/fid_longrun_imagenet.py
"""

config = {
    "root_path": "ebm-life-cycle/",
    "gs_path": None,
    "exp_name": "imagenet_longrun_test",
    "exp_dir": "tf_out/fid",
    "device_type": "gpu",
    "data_type": "imagenet2012",
    "data_dir": "imagenet2012_tfds",
    "data_download": False,
    "random_crop": False,
    "exp_type": "single",
    "num_fid_rounds": 53,
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
    "prior_weights": "",
    "prior_temp": 1e-05,
    "mcmc_steps": 1000000,
    "epsilon": 0.01,
    "mcmc_init": "coop",
    "mcmc_temp": 1e-05,
    "tau": 0.15,
    "joint_temp": 1.01,
    "clip_langevin_grad": False,
    "max_langevin_norm": 100,
    "gen_type": "gen_biggan_cond",
    "z_sz": 128,
    "fixed_gen": True,
}
