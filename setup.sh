#!/usr/bin/env bash
# Installs what EBM Life Cycle needs into the Python in use, for CPU or GPU:   bash setup.sh
# Another Python: PYTHON=python3.12 bash setup.sh. A Python that its system manages (Debian) is left
# alone: a virtual environment .venv is made in this folder and used instead.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")"
requirements=${1:-requirements.txt} # setup_tpu.sh names another list
python=${PYTHON:-python3}

fail() {
  echo "error: $1" >&2
  exit 2
}

command -v "$python" >/dev/null || fail "setup.sh: no $python here; install Python 3.11 to 3.13"
"$python" -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 13))' ||
  fail "setup.sh needs Python 3.11 to 3.13, $python is $("$python" -V 2>&1); name another one: PYTHON=python3.12 bash setup.sh"

# As pip decides it: the marker file lies beside the standard library, and no virtual environment is on.
if "$python" -c 'import os, sys, sysconfig
marker = os.path.join(sysconfig.get_path("stdlib"), "EXTERNALLY-MANAGED")
sys.exit(not (sys.prefix == sys.base_prefix and os.path.exists(marker)))'; then
  echo "$("$python" -V) is managed by the system: using the virtual environment .venv of this folder."
  "$python" -m venv .venv >/dev/null ||
    fail "setup.sh: $python cannot make a virtual environment; on Debian: apt-get install python3-venv"
  python=.venv/bin/python
fi
"$python" -m pip --version >/dev/null 2>&1 || fail "setup.sh: $python has no pip; try: $python -m ensurepip"

packages=(-r "$requirements")
if [ "$requirements" = requirements.txt ] && nvidia-smi >/dev/null 2>&1; then
  echo "NVIDIA GPU found: installing TensorFlow with CUDA."
  packages+=("tensorflow[and-cuda]") # its version is bounded by the same requirements
fi
echo "Installing $requirements; TensorFlow is large, this takes a minute or more."
"$python" -m pip install --quiet "${packages[@]}"

if [ "$python" = .venv/bin/python ]; then
  printf 'Installed. In every new shell first: source %q\n' "$PWD/.venv/bin/activate"
else
  echo "Installed into $("$python" -c 'import sys; print(sys.prefix)')."
fi
