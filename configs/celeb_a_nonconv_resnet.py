"""Another name of `celeb_a_nonconv_sngan.py`.

python3 train.py configs/celeb_a_nonconv_resnet.py
"""

from configs.celeb_a_nonconv_sngan import config

__all__ = ["config"]
