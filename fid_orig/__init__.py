"""The original FID: images saved as uint8, and the Inception graph that defines the score."""
