"""Another name of `imagenet_nonconv_sngan.py`.

python3 train.py configs/imagenet_nonconv_resnet.py
"""

from configs.imagenet_nonconv_sngan import config

__all__ = ["config"]
