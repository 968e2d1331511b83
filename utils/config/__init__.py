"""Configs: the table of keys, the kinds of values, checks, and the command line."""

from utils.config.load import load_config

__all__ = ["load_config"]
