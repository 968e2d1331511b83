"""Files: whole or not at all, listings of folders, and hashes of contents."""
