"""The pages in docs/: every code block is run, the pictures are those of our code, and the site builds."""

import os
import re
import shlex
import signal
import subprocess
import sys
from html.parser import HTMLParser

import pytest
from support.programs import loaded
from support.snippets import REPOSITORY, ROUNDING, TRAINING, Reader, agree, blocks, shown_after

import torchmoji
from torchmoji.cli.main import _parser

DOCS = REPOSITORY / "docs"
PAGES = sorted(path.relative_to(DOCS).as_posix() for path in DOCS.glob("**/*.md"))

NOT_RUN = {
    r"^(\S*pip|python3? -m pip|python3 -m venv)\b": "it installs packages",
    r"^torchmoji download\b": "it downloads 90 MB",
    r"^import (dask|daft|ray)\b": "it needs that engine and its data",
    r"s3://bucket": "it reads a store that is made up",
    r"^torchrun\b": "it starts processes, as tests/pretraining/test_processes.py does",
    r"^(TORCHMOJI_KEY=\S+ )?(torchmoji (demo|serve)\b|serve\()": "it serves until Ctrl-C",
    r"^docker\b": "it makes a container",
    r"from_pretrained\(\"deepmoji\"": "it downloads 90 MB",
    r"from_pretrained\(\"user/": "it asks the Hugging Face hub for a model that is made up",
}
"""A line with such a command -> why the block with it is only checked, not run."""

TRAINS = ("finetune.md", "from-2017.md", "scikit-learn.md", "pretraining.md", "languages.md")
"""Pages with scores of models that they train."""


DEMO = "http://127.0.0.1:7860"
"""The address in the pages, in place of which the blocks get that of a page served for the test."""


def read(page):
    return (DOCS / page).read_text(encoding="utf-8")


def why_not_run(page, block):
    """The reason to leave out a block, None where it is run."""
    reasons = [reason for pattern, reason in NOT_RUN.items() if re.search(pattern, block.text, re.M)]
    return reasons[0] if reasons and block.language in ("python", "bash") else None


@pytest.fixture(scope="module")
def demo(tmp_path_factory):
    """The address of the demo page, which another process serves."""
    code = "from torchmoji import demo; demo.launch(port=0, ready=lambda address: print(address, flush=True))"
    command = [sys.executable, "-c", code]
    environment = {**os.environ, "TORCHMOJI_HOME": str(tmp_path_factory.mktemp("home"))}
    with subprocess.Popen(command, stdout=subprocess.PIPE, env=environment, encoding="utf-8") as server:
        yield server.stdout.readline().strip().rstrip("/")
        server.send_signal(signal.SIGINT)


@pytest.mark.parametrize("page", [page for page in PAGES if blocks(read(page))])
def test_the_blocks_of_a_page_run_and_give_what_is_shown(page, tmp_path, monkeypatch, request):
    monkeypatch.setenv("MPLBACKEND", "Agg")
    reader, tolerance = Reader(page, tmp_path), TRAINING if page in TRAINS else ROUNDING
    markdown = read(page)
    if DEMO in "".join(block.text for block in blocks(markdown)):
        markdown = markdown.replace(DEMO, request.getfixturevalue("demo"))
    found = blocks(markdown)
    for block in found:
        if block.language and not why_not_run(page, block):
            printed, shown = reader.run(block), shown_after(found, block)
            if shown is not None:
                where = f"{page}, line {shown.line}"
                assert agree(printed, shown.text, tolerance), f"{where} shows\n{shown.text}not\n{printed}"


def test_the_blocks_that_are_not_run_are_as_they_could_be(tmp_path):
    left_out = [block for page in PAGES for block in blocks(read(page)) if why_not_run(page, block)]
    unused = [pattern for pattern in NOT_RUN if not any(re.search(pattern, b.text, re.M) for b in left_out)]
    assert unused == []
    for block in left_out:
        if block.language == "python":
            compile(block.text, block.text, "exec")
            continue
        subprocess.run(["bash", "-n", "-c", block.text], check=True)
        for line in block.text.splitlines():
            line = re.sub(r"^(torchrun .* -m|TORCHMOJI_KEY=\S+) torchmoji", "torchmoji", line)
            program, *options = shlex.split(line, comments=True) or [""]
            if program == "torchmoji":
                _parser().parse_args(options)


def test_every_command_has_an_example_on_the_page_of_the_command_line():
    commands = re.findall(r"^    ([a-z-]+)\b", _parser().format_help(), re.M)
    assert "emojize" in commands
    page = "".join(block.text for block in blocks(read("cli.md")) if block.language == "bash")
    assert [name for name in commands if not re.search(rf"torchmoji {name}\b", page)] == []


# --- pictures ---------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def figures():
    with loaded(DOCS / "figures.py") as program:
        yield program


@pytest.fixture(scope="module")
def drawn(figures, tmp_path_factory):
    """All pictures, drawn anew."""
    folder = tmp_path_factory.mktemp("pictures")
    figures.main(["--to", str(folder)])
    return folder


def described(path):
    """What a picture says that it shows."""
    (text,) = re.findall(r"<dc:description>(.*?)</dc:description>", path.read_text("utf-8"), re.S)
    return text


def test_the_pages_show_the_pictures_that_are_drawn(figures):
    shown = {name for page in PAGES for name in re.findall(r"\]\(images/([\w-]+)\.svg\)", read(page))}
    assert shown == set(figures.PICTURES)


def test_the_pictures_are_those_of_the_code(drawn):
    names = sorted(path.name for path in drawn.iterdir())
    assert names == sorted(path.name for path in (DOCS / "images").glob("*.svg"))
    for name in names:
        new, old = described(drawn / name), described(DOCS / "images" / name)
        assert agree(new, old, TRAINING), f"{name} shows {old!r}, now {new!r}: run python docs/figures.py"


# --- the site ---------------------------------------------------------------------------------------------


class Found(HTMLParser):
    """The addresses that a page loads by itself, and the names of its places."""

    def __init__(self, html):
        super().__init__()
        self.loaded, self.ids = [], set()
        self.feed(html)

    def handle_starttag(self, tag, attributes):
        values = dict(attributes)
        self.ids.add(values.get("id"))
        loads = tag in ("script", "img", "iframe", "source", "video", "audio", "embed", "object")
        is_style = tag == "link" and values.get("rel") not in ("canonical", "prev", "next", "edit")
        if loads or is_style:
            self.loaded += [values[name] for name in ("src", "href", "srcset", "data") if values.get(name)]


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    folder = tmp_path_factory.mktemp("site")
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", str(folder)]
    environment = {**os.environ, "NO_MKDOCS_2_WARNING": "1", "PYTHONDONTWRITEBYTECODE": "1"}
    result = subprocess.run(command, cwd=REPOSITORY, env=environment, capture_output=True, encoding="utf-8")
    told = [line for line in result.stderr.splitlines() if not line.startswith("INFO ")]
    assert told == []
    assert result.returncode == 0
    return folder


@pytest.fixture(scope="module")
def pages(site):
    """The built pages, by their path in the site."""
    return {
        path.relative_to(site).as_posix(): Found(path.read_text("utf-8")) for path in site.glob("**/*.html")
    }


def test_every_page_is_built(pages):
    assert {page.removesuffix(".md") + ".html" for page in PAGES} <= set(pages)


def test_nothing_is_loaded_from_elsewhere(site, pages):
    outside = re.compile(r"^(\w+:)?//")
    loaded = [(name, address) for name, page in pages.items() for address in page.loaded]
    assert len(loaded) > len(pages)
    assert [pair for pair in loaded if outside.search(pair[1])] == []
    styles = "".join(path.read_text("utf-8") for path in site.glob("**/*.css"))
    assert re.findall(r"@import[^;]*|url\(\s*[\"']?(?:https?:)?//[^)]*\)", styles) == []


def test_the_public_names_are_in_the_reference(pages):
    ids = set().union(*(page.ids for name, page in pages.items() if name.startswith("api/")))
    names = (name for name in torchmoji.__all__ if name not in ("EMOJIS", "__version__"))
    objects = [getattr(torchmoji, name) for name in names]
    wanted = {f"{value.__module__}.{value.__name__}" for value in objects}
    wanted |= {f"torchmoji.estimator.{name}" for name in ("TorchMojiClassifier", "TorchMojiVectorizer")}
    wanted |= {
        f"torchmoji.plot.plot.{name}" for name in ("emoji_bars", "attention_heatmap", "learning_curve")
    }
    assert wanted - ids == set()


def test_only_pages_and_pictures_are_in_the_site(site):
    endings = {path.suffix for path in site.glob("**/*") if path.is_file()}
    assert endings <= {".html", ".css", ".js", ".json", ".map", ".svg", ".png", ".xml", ".gz", ".inv", ".txt"}
