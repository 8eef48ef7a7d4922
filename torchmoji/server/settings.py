"""What a server admits: who may ask, how much at once, and how requests are computed together."""

import ipaddress
import math
import re
from collections.abc import Collection
from dataclasses import dataclass, fields
from reprlib import repr as short
from typing import Any

_SITE = re.compile(r"(http(?!.*:80$)|https(?!.*:443$))://([a-z\d._-]+|\[[a-f\d:.]+\])(:\d+)?|\*|null", re.A)
"""As browsers write it: in lower case, without the port that is the scheme's own."""


@dataclass(frozen=True)
class Settings:
    """Limits and access of a server.

    Raises:
        ValueError: A value is of another type, below its least, or in a form that clients never send.
    """

    key: str | None = None
    """What clients send as `Authorization: Bearer KEY`; None lets everybody in."""
    hosts: tuple[str, ...] = ()
    """Names of the server, without a port, that are admitted in the header Host beside those of the own
    machine; "*" for any, "0.0.0.0" for any address in numbers."""
    origins: tuple[str, ...] = ()
    """Sites, such as "https://example.org", whose pages may call the server; "*" for any."""
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
    stop_seconds: float = 5.0
    """For requests that are being answered when the server is stopped."""

    def __post_init__(self) -> None:
        for field in fields(self):
            value = getattr(self, field.name)
            is_number = isinstance(value, int | float) and not isinstance(value, bool)
            if field.type is int and not (is_number and isinstance(value, int) and value >= 1):
                raise ValueError(f"{field.name} must be a whole number, at least 1, got {short(value)}")
            least = 0 if field.name == "wait_ms" else 1e-3
            if field.type is float and not (is_number and least <= value < math.inf):
                raise ValueError(f"{field.name} must be a number, at least {least:g}, got {short(value)}")
        if self.key is not None and not _is_key(self.key):
            raise ValueError(
                "key must have ASCII characters, no control characters and no blanks around it: "
                "choose another key"
            )
        for name in ("hosts", "origins"):
            values = getattr(self, name)
            if isinstance(values, str) or not isinstance(values, Collection):
                raise ValueError(f"{name} must be a tuple of texts, got {short(values)}")
        for host in self.hosts:
            if not (isinstance(host, str) and _is_host(host)):
                raise ValueError(
                    "hosts (--allow-host) are names such as example.org, without scheme and port, got "
                    f"{short(host)}"
                )
        for site in self.origins:
            if not (isinstance(site, str) and _SITE.fullmatch(site)):
                raise ValueError(
                    "origins (--allow-origin) are sites as browsers write them, in lower case, such as "
                    f"https://example.org, got {short(site)}"
                )


def _is_key(key: Any) -> bool:
    return isinstance(key, str) and key.isascii() and key.isprintable() and key.strip() == key != ""


def _is_host(name: str) -> bool:
    if re.fullmatch(r"[\w.-]+|\*", name, re.ASCII):
        return True
    try:
        return bool(ipaddress.ip_address(name.strip("[]")))
    except ValueError:
        return False
