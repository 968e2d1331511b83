"""What the scripts share: each module has one subject, named by its file."""
