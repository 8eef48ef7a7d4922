"""The HTTP server and its page (extra `server`): `torchmoji serve`, `torchmoji demo`."""

from torchmoji.server.serving import PORT, create_app, launch, serve, served
from torchmoji.server.settings import Settings

__all__ = ["PORT", "Settings", "create_app", "launch", "serve", "served"]
