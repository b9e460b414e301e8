"""`python -m ferroapi`."""

from ferroapi.cli import main

# Guarded: worker processes import this module again under another name.
if __name__ == "__main__":
    main()
