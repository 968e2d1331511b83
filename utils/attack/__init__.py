"""The defence by purification, attacks on it, and the evaluation of both."""
