"""Data: from a TFDS data set, a folder or an npz to batches of float32 images in [-1, 1]."""
