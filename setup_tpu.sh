#!/usr/bin/env bash
# Installs what EBM Life Cycle needs on a TPU VM:   bash setup_tpu.sh
# setup.sh with another list of packages: TensorFlow for TPUs, which is one version behind.
set -euo pipefail
exec bash "$(dirname "${BASH_SOURCE[0]}")/setup.sh" requirements_tpu.txt
