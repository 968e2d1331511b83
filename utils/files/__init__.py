"""Files: written whole or not at all, listings of folders, hashes of contents."""
