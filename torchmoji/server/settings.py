"""What a server admits: who may ask, how much at once, and how requests are computed together."""

import ipaddress
import re
from collections.abc import Collection
from dataclasses import dataclass
from reprlib import repr as short
from typing import Any

from torchmoji.runtime.options import COUNT, FINITE, NOT_NEGATIVE, POSITIVE, check_limits, documented, option

_SITE = re.compile(r"(http(?!.*:80$)|https(?!.*:443$))://([a-z\d._-]+|\[[a-f\d:.]+\])(:\d+)?|\*|null", re.A)
"""As browsers write it: in lower case, without the port that is the scheme's own."""


@documented
@dataclass(frozen=True)
class Settings:
    """Limits and access of a server.

    Raises:
        ValueError: A value is of another type, beyond its limit, or in a form that clients never send.
    """

    key: str | None = option(None, "what clients send as `Authorization: Bearer KEY`; None lets everybody in")
    hosts: tuple[str, ...] = option(
        (),
        "names of the server, without a port, that are admitted in the header Host beside those of the own "
        'machine; "*" for any, "0.0.0.0" for any address in numbers',
    )
    origins: tuple[str, ...] = option(
        (), 'sites, such as "https://example.org", whose pages may call the server; "*" for any'
    )
    max_texts: int = option(2048, "texts of a request, at most", COUNT)
    max_characters: int = option(20_000, "characters of a text, at most", COUNT)
    max_waiting: int = option(
        4096, "texts that wait for the model, at most; further requests are asked to come again", COUNT
    )
    max_rows: int = option(100_000, "rows of an uploaded file, at most", COUNT)
    max_body: int = option(4 << 20, "bytes of a request", COUNT)
    max_file: int = option(50 << 20, "bytes of an uploaded file", COUNT)
    max_unpacked: int = option(100_000_000, "characters of an uploaded file, unpacked", COUNT)
    max_files: int = option(2, "files that are worked on at once", COUNT)
    max_arriving: int = option(
        64 << 20, "bytes of all requests that are being received and answered, but for files", COUNT
    )
    max_connections: int = option(512, "connections at once", COUNT)
    batch_texts: int = option(64, "texts that are computed together; 1 computes each on its own", COUNT)
    batch_characters: int = option(
        16_384,
        "characters of texts that are computed together, but for one that is longer; about 4 are a token",
        COUNT,
    )
    wait_ms: float = option(
        3.0,
        "milliseconds that a request waits for others, at most, while there are others",
        FINITE,
        NOT_NEGATIVE,
    )
    body_seconds: float = option(
        30.0,
        "for the head of a request, for its body, and for each 1 MB of the answer to be taken",
        FINITE,
        POSITIVE,
    )
    file_seconds: float = option(300.0, "for an uploaded file to arrive", FINITE, POSITIVE)
    stop_seconds: float = option(
        5.0, "for requests that are being answered when the server is stopped", FINITE, POSITIVE
    )

    def __post_init__(self) -> None:
        check_limits(self)
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
