"""What TensorFlow reads from the environment as it is imported: scripts import this module first.

It is the one module that acts when it is imported; what the user has set stays as it is.
"""

import os

# Those that this process may use, where the system tells.
CORES = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
FEW_CORES = 4  # up to here images share the cores better than the threads of an operation do

# TensorFlow leaves oneDNN off where AVX-512 is missing, as on most laptops: chains are then slower.
os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "1")
if CORES <= FEW_CORES:
    os.environ.setdefault("TF_NUM_INTRAOP_THREADS", "1")
