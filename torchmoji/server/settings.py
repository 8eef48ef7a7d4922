"""What a server admits: who may ask, how much at once, and how requests are computed together."""

import re
from dataclasses import dataclass, fields
from reprlib import repr as short


@dataclass(frozen=True)
class Settings:
    """Limits and access of a server.

    Raises:
        ValueError: A limit is below its least value, or the key is empty or not ASCII.
    """

    key: str | None = None
    """What clients send as `Authorization: Bearer KEY`; None lets everybody in."""
    hosts: tuple[str, ...] = ()
    """Names of the server that are admitted in the header Host beside those of the own machine; "*" for any,
    "0.0.0.0" for any address in numbers."""
    origins: tuple[str, ...] = ()
    """Sites, such as "https://example.org", whose pages may call the server."""
    max_texts: int = 2048
    """Texts of a request."""
    max_characters: int = 20_000
    """Characters of a text."""
    max_body: int = 4 << 20
    """Bytes of a request."""
    max_file: int = 50 << 20
    """Bytes of an uploaded file."""
    max_unpacked: int = 100_000_000
    """Characters of an uploaded file, unpacked."""
    max_rows: int = 100_000
    """Rows of an uploaded file."""
    max_files: int = 2
    """Files that are worked on at once."""
    max_waiting: int = 4096
    """Texts that wait for the model; further requests are asked to come again."""
    max_arriving: int = 64 << 20
    """Bytes of all requests that are being received and answered, but for files."""
    max_connections: int = 512
    batch_texts: int = 64
    """Texts that are computed together; 1 computes each on its own."""
    batch_characters: int = 16_384
    """Characters of texts that are computed together, but for one that is longer; about 4 are a token."""
    wait_ms: float = 3.0
    """Milliseconds that a request waits for others, at most, while there are others."""
    body_seconds: float = 30.0
    """For the head of a request, for its body, and for each 1 MB of the answer to be taken."""
    file_seconds: float = 300.0
    """For an uploaded file to arrive."""
    stop_seconds: int = 5
    """For requests that are being answered when the server is stopped."""

    def __post_init__(self) -> None:
        for field in fields(self):
            value = getattr(self, field.name)
            least = 0 if field.name == "wait_ms" else 1e-3 if field.name.endswith("_seconds") else 1
            if isinstance(value, int | float) and value < least:
                raise ValueError(f"{field.name} must be at least {least:g}, got {value}")
        if self.key is not None and not (self.key.isascii() and self.key.isprintable() and self.key.strip()):
            raise ValueError("key must have ASCII characters and no control characters: choose another key")
        for site in self.origins:
            if not re.fullmatch(r"https?://[^/\s]+", site) and site not in ("*", "null"):
                raise ValueError(f"origins are sites such as https://example.org, got {short(site)}")
        for host in self.hosts:
            if not host or "/" in host or any(map(str.isspace, host)):
                raise ValueError(f"hosts are names such as example.org, got {short(host)}")
