"""The whole path of a classifier in seconds, for tests and a first look: 3 epochs of 4 updates.

python3 train_clf.py configs_clf/smoke.py
"""

from configs_clf import emoji32_wrn

config = {
    **emoji32_wrn.config,
    "exp_name": "smoke",
    "num_epochs": 3,
    "epoch_steps_tr": 4,
    "batch_size": 16,
    "lr_list": [0.05, 0.005],
    "lr_switch_epochs": [2],
    "clf_width": 1,
    "test_and_log_freq": 2,
}
