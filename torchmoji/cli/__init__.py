"""The command `torchmoji`."""

from torchmoji.cli.main import main

__all__ = ["main"]
