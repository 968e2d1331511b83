"""A classifier of Fashion-MNIST on two CPU cores: Wide ResNet of depth 10 and width 2.

60,000 grey pictures of ten kinds of clothes, 28x28 resized to 32x32; mirrored, not cropped. With
seed 0 and `device_type=gpu jit=True` the last weights, `examples/weights/fashion_wrn.weights.h5`,
have a test accuracy of 0.928; a minute and a half on one NVIDIA H200, three other runs beside it.

    python3 train_clf.py configs_clf/fashion_wrn.py --set data_download=True
"""

config = {
    "exp_name": "fashion_wrn",
    "exp_dir": "tf_out/clf",
    "device_type": "cpu",
    "data_type": "fashion_mnist",
    "data_flip": True,
    "image_dims": [32, 32, 1],
    "batch_size": 128,
    "num_epochs": 12,
    "lr_list": [0.1, 0.01, 0.001],
    "lr_switch_epochs": [7, 10],
    "weight_decay": 5e-4,
    "momentum": 0.9,
    "nesterov": True,
    "dropout": 0.0,
    "clf_depth": 10,
    "clf_width": 2,
    "test_and_log_freq": 3,
}
