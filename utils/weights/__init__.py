"""Weights: files of ours, published and foreign ones, and the networks that they are of."""
