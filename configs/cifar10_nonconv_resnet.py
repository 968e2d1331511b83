"""Another name of `cifar10_nonconv_sngan.py`.

python3 train.py configs/cifar10_nonconv_resnet.py
"""

from configs.cifar10_nonconv_sngan import config

__all__ = ["config"]
