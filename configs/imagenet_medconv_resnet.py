"""Another name of `imagenet_medconv_sngan.py`.

python3 train.py configs/imagenet_medconv_resnet.py --set gen_weights=PATH
"""

from configs.imagenet_medconv_sngan import config

__all__ = ["config"]
