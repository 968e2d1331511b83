"""Configs: the table of keys, types of values, checks, the command line and its help."""

from utils.config.load import load_config

__all__ = ["load_config"]
