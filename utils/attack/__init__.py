"""The defence by purification, and attacks on it."""
