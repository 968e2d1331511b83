"""BPDA + EOT attack on ImageNet, EfficientNet-B7 behind a midrun EBM: the published evaluation.

Keras fetches the classifier's weights. Published: natural accuracy 0.684, robust accuracy 0.418 at
2/255, with the softmax taken for logits and the first layers of Keras 2.8, 2.1 times less contrast
than the weights were learned with. This config does neither; to repeat the published evaluation add
`clf_output=probabilities clf_stem=published` (pixels are in [0, 255] both ways). Neither was
measured here: it takes ImageNet and the published EBM. Sized for GPUs or TPUs.

    python3 attack.py configs_attack/attack_config_imagenet.py --set ebm_weights=PATH
"""

config = {
    "root_path": "ebm-life-cycle/",
    "gs_path": None,
    "device_type": "gpu",
    "data_type": "imagenet2012",
    "data_dir": "imagenet2012_tfds",
    "data_download": False,
    "split": "validation",
    "exp_dir": "tf_out/attack",
    "exp_name": "efficientnet_test",
    "image_dims": [224, 224, 3],
    "image_dims_clf": [600, 600, 3],
    "pixel_scale_clf": [0, 255],
    "start_batch": 1,
    "end_batch": 100,
    "batch_size": 8,
    "shuffle": True,
    "adv_steps": 50,
    "adv_eps": 2.0,
    "adv_eta": 1.0,
    "adv_rand_start": True,
    "eot_attack_reps": 24,
    "eot_defense_reps": 64,
    "langevin_steps": 200,
    "epsilon": 0.02,
    "mcmc_temp": 1e-05,
    "ebm_weights": "",
    "net_type": "ebm_biggan",
    "log_freq": 1,
    "record_image_states": False,
}
