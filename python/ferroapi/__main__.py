"""`python -m ferroapi`."""

from ferroapi.cli import command

# Guarded: worker processes import this module again under another name.
if __name__ == "__main__":
    command()
