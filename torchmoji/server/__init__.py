"""The page to try a model on, and its HTTP API (extra `demo`)."""

from torchmoji.server.demo import PORT, build, launch, served

__all__ = ["PORT", "build", "launch", "served"]
