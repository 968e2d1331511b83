"""Another name of `cifar10_medconv_sngan.py`.

python3 train.py configs/cifar10_medconv_resnet.py --set gen_weights=PATH
"""

from configs.cifar10_medconv_sngan import config

__all__ = ["config"]
