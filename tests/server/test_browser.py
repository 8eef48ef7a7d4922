"""The demo page in a real browser: typing, comparing, files, the keyboard, narrow windows, all offline."""

import re
import shutil
from urllib.parse import urlsplit

import pytest
from support.programs import loaded, refusal
from support.small_pipeline import small

from torchmoji.emojis import shown
from torchmoji.server import Settings, served

sync_api = pytest.importorskip("playwright.sync_api")

TEXT = "I love mom's cooking"
OTHER = "not again.. my train is late"
CSV = 'id,tweet\n7,"so good, <i>really</i>"\n3,not again\n'
BROWSERS = ("chromium", "chromium-browser", "google-chrome")

CONTRASTS = """() => {
  const parse = (color) => (color.match(/[\\d.]+/g) ?? [0, 0, 0, 0]).map(Number);
  const over = (top, below) => {
    const alpha = top[3] ?? 1;
    return [0, 1, 2].map((k) => top[k] * alpha + below[k] * (1 - alpha));
  };
  const background = (element) => element
    ? over(parse(getComputedStyle(element).backgroundColor), background(element.parentElement))
    : [255, 255, 255];
  const light = (rgb) => {
    const linear = (v) => v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4;
    const [r, g, b] = rgb.map((v) => linear(v / 255));
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
  };
  const found = [];
  for (const element of document.querySelectorAll("body *")) {
    const own = [...element.childNodes].some((node) => node.nodeType === 3 && node.textContent.trim());
    if (!own || !element.checkVisibility({visibilityProperty: true, opacityProperty: true})) continue;
    const behind = background(element);
    const text = over(parse(getComputedStyle(element).color), behind);
    const [low, high] = [light(text), light(behind)].sort((a, b) => a - b);
    found.push([(high + 0.05) / (low + 0.05), element.textContent.trim().slice(0, 40)]);
  }
  return found;
}"""
"""Gives the contrast of each piece of text with what is behind it."""


@pytest.fixture(scope="module")
def browser():
    path = next(filter(None, map(shutil.which, BROWSERS)), None)
    if path is None:
        pytest.skip(f"there is no browser: install one of {', '.join(BROWSERS)}")
    with sync_api.sync_playwright() as playwright:
        found = playwright.chromium.launch(executable_path=path, args=["--no-sandbox"])
        yield found
        found.close()


@pytest.fixture
def visit(browser, address):
    """Open the page; at the end, nothing must have gone wrong in it, and nothing left the machine."""
    wrong, contexts = [], []

    def note(request):
        url = urlsplit(request.url)
        if url.scheme not in ("data", "blob") and url.hostname != "127.0.0.1":
            wrong.append(f"asked for {request.url}")

    def note_message(kind, text):
        if kind == "error" and "status of 4" not in text:  # what the server refuses is told on the page
            wrong.append(text)

    def open_page(width=1280, height=900, url=address, **options):
        context = browser.new_context(viewport={"width": width, "height": height}, **options)
        contexts.append(context)
        context.on("request", note)
        page = context.new_page()
        page.on("console", lambda message: note_message(message.type, message.text))
        page.on("pageerror", lambda error: wrong.append(str(error)))
        page.on("dialog", lambda dialog: wrong.append(dialog.message) or dialog.dismiss())
        page.goto(url)
        page.locator("#first-text textarea").wait_for()
        return page

    yield open_page
    for context in contexts:
        context.close()
    assert wrong == []


def type_into(page, which, text):
    """Put a text into a box, at once, and wait for the result."""
    page.locator(f"#{which}-text textarea").fill(text)
    page.wait_for_function(
        "([id, text]) => document.querySelector(`#${id} .words`)?.textContent === text", arg=[which, text]
    )


def attach(page, name, content):
    page.get_by_role("tab", name="File").click()
    file = {"name": name, "mimeType": "text/plain", "buffer": content.encode("utf-8")}
    page.locator("#upload input").set_input_files(files=[file])


def tab_to(page, selector, key="Tab"):
    """Go on with the keyboard until an element has the focus."""
    for _ in range(30):
        if page.evaluate("s => document.activeElement?.matches(s)", selector):
            return
        page.keyboard.press(key)
    raise AssertionError(f"{key} does not lead to {selector}")


# --- texts ------------------------------------------------------------------------------------------------


def test_texts_typed_with_the_keyboard_alone_get_emojis_and_are_compared(visit, pipeline):
    page = visit()
    assert page.evaluate("document.documentElement.lang") == "en"
    tab_to(page, "#first-text textarea")
    page.keyboard.type(TEXT)
    page.wait_for_function("text => document.querySelector('#first .words')?.textContent === text", arg=TEXT)
    expected = pipeline.predict(TEXT)
    names = page.locator("#first .bars .name").all_inner_texts()
    assert names == [score.alias.replace("_", " ") for score in expected]
    assert page.locator("#first .words mark").all_inner_texts() == ["I", "love", "mom's", "cooking"]
    assert page.locator("#first .nearest li").count() == 5
    tab_to(page, "#second-text textarea")
    page.keyboard.type(OTHER)
    page.locator(f".similarity b:text-is('{pipeline.similarity(TEXT, OTHER):.2f}')").wait_for()
    for tab in ("File", "Text"):
        page.get_by_role("tab", name=tab).click()
        tree = page.locator("body").aria_snapshot()
        nameless = r"^\s*- (?:textbox|button|combobox|spinbutton|link|tab)(?:$|:| \[).*$"
        assert re.findall(nameless, tree, re.M) == []
    for part in ('heading "torchMoji" [level=1]', 'textbox "Your text"', 'region "Result for your text"'):
        assert part in tree
    type_into(page, "first", "<img src=x onerror=alert(1)> <script>alert(2)</script> {{7*7}}")
    assert page.locator("#texts img, #texts script").count() == 0
    tab_to(page, "#chips button", "Shift+Tab")
    chip = page.evaluate("document.activeElement.textContent")
    page.keyboard.press("Enter")
    page.wait_for_function("text => document.querySelector('#first .words')?.textContent === text", arg=chip)


@pytest.mark.nightly
def test_balance_and_copies(visit, pipeline):
    page = visit(permissions=["clipboard-read", "clipboard-write"])
    type_into(page, "first", TEXT)
    before = page.locator("#first .bars").text_content()
    page.get_by_role("button", name="Copy text").click()
    page.get_by_role("button", name="Copied").wait_for()
    expected = f"{TEXT} {shown(pipeline.predict(TEXT)[0].emoji)}"
    assert page.evaluate("navigator.clipboard.readText()") == expected
    slider = page.get_by_label("Balance")
    slider.focus()
    page.keyboard.press("End")
    page.wait_for_function(
        "before => document.querySelector('#first .bars').textContent !== before", arg=before
    )
    assert page.locator("#balance output").inner_text() == "1.00"


@pytest.mark.nightly
def test_the_key_is_asked_for(browser):
    with served(small(), settings=Settings(key="s3cret")) as address:
        page = browser.new_page()
        page.goto(address)
        page.get_by_label("This server asks for its key").fill("s3cret")
        page.keyboard.press("Enter")
        page.locator("#key").wait_for(state="hidden")
        type_into(page, "first", "good day")
        page.close()


# --- files ------------------------------------------------------------------------------------------------


def test_a_csv_file_comes_back_with_emojis(visit, pipeline, tmp_path):
    page = visit()
    attach(page, "tweets.csv", CSV)
    page.locator("#start:enabled").wait_for()
    assert page.get_by_label("Column of the texts").input_value() == "tweet"
    page.get_by_label("Emojis a row").fill("1")
    page.get_by_role("button", name="Add emojis").click()
    page.get_by_text("Done: 2 rows.").wait_for()
    cells = page.locator("#status tbody td").all_inner_texts()
    assert cells[:2] == ["7", "so good, <i>really</i>"]
    with page.expect_download() as download:
        page.get_by_role("link", name="Download tweets-emojis.csv").click()
    assert download.value.suggested_filename == "tweets-emojis.csv"
    download.value.save_as(tmp_path / "result.csv")
    scores = [row[0] for row in pipeline.predict(["so good, <i>really</i>", "not again"], 1)]
    assert (tmp_path / "result.csv").read_text("utf-8").splitlines() == [
        "id,tweet,emoji_1,probability_1",
        f'7,"so good, <i>really</i>",{shown(scores[0].emoji)},{round(scores[0].probability, 6)}',
        f"3,not again,{shown(scores[1].emoji)},{round(scores[1].probability, 6)}",
    ]
    for name, content, message in (
        ("<img src=x onerror=alert(1)>.xls", "PK", "Cannot read '<img src=x onerror=alert(1)>.xls'"),
        ("a.csv", "text\n1,2\n", "line 2, has 2 cells"),
    ):
        attach(page, name, content)
        toast = page.get_by_role("alert")
        toast.get_by_text(message).wait_for()
        assert page.locator("#start").is_disabled()
        page.get_by_role("button", name="Close the message").click()
        toast.wait_for(state="hidden")
    wide = ",".join(f"column {n}" for n in range(40)) + "\n" + ",".join(["some long text"] * 40) + "\n"
    attach(page, "wide.csv", wide)
    page.locator("#start:enabled").click()
    page.get_by_text("Done: 1 row.").wait_for()
    table = page.get_by_role("region", name="Preview")
    assert table.evaluate("table => table.scrollWidth > table.clientWidth && table.tabIndex === 0")
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")


# --- for everybody ----------------------------------------------------------------------------------------


@pytest.mark.nightly
def test_tabs_and_files_work_with_the_keyboard_alone(visit, tmp_path):
    (tmp_path / "tweets.csv").write_text(CSV)
    page = visit()
    tab_to(page, "[role=tab]", "Shift+Tab")
    assert page.evaluate("getComputedStyle(document.activeElement).outlineStyle") == "solid"
    page.keyboard.press("ArrowRight")
    assert page.evaluate("document.activeElement.innerText") == "File"
    tab_to(page, "#upload input")
    page.locator("#upload input").set_input_files(tmp_path / "tweets.csv")  # as the browser's dialog does
    page.locator("#start:enabled").wait_for()
    tab_to(page, "#start")
    page.keyboard.press("Enter")
    page.get_by_text("Done: 2 rows.").wait_for()
    tab_to(page, "#download")
    with page.expect_download() as download:
        page.keyboard.press("Enter")
    assert download.value.suggested_filename == "tweets-emojis.csv"


@pytest.mark.nightly
def test_results_are_read_aloud_once_typing_rests(visit, pipeline):
    page = visit()
    live = page.locator("[role=status][aria-live=polite]#live")
    page.locator("#first-text textarea").press_sequentially(TEXT, delay=10)
    page.locator("#first .bars").wait_for()
    assert live.inner_text() == ""
    score = pipeline.predict(TEXT, 1)[0]
    said = f"your text: {score.alias.replace('_', ' ')}, {score.probability:.0%}"
    page.wait_for_function("said => document.querySelector('#live').textContent === said", arg=said)
    type_into(page, "second", OTHER)
    said = "/Similarity -?0[.]\\d\\d/.test(document.querySelector('#live').textContent)"
    page.wait_for_function(f"() => {said}")


@pytest.mark.nightly
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_the_contrast_is_high_enough(visit, scheme):
    page = visit(color_scheme=scheme)
    type_into(page, "first", TEXT)
    type_into(page, "second", OTHER)
    page.locator(".similarity").wait_for()
    contrasts = page.evaluate(CONTRASTS)
    attach(page, "a.xls", "PK")
    page.locator("#toast").wait_for()
    contrasts += page.evaluate(CONTRASTS)
    assert len(contrasts) > 60
    assert [pair for pair in contrasts if pair[0] < 4.5] == []


@pytest.mark.nightly
def test_a_phone_need_not_scroll_sideways(visit):
    page = visit(320, 640)
    fits = "document.documentElement.scrollWidth <= innerWidth"
    assert page.evaluate(fits)
    type_into(page, "first", TEXT + " " + "a" * 300)
    type_into(page, "second", OTHER)
    page.locator(".similarity").wait_for()
    assert page.evaluate(fits)
    attach(page, "a-very-long-name-for-a-file-with-a-few-tweets-in-it.csv", CSV)
    page.locator("#start:enabled").click()
    page.get_by_text("Done: 2 rows.").wait_for()
    assert page.evaluate(fits)


# --- pictures ---------------------------------------------------------------------------------------------


def width_of(path):
    """The width of a PNG, from its head."""
    return int.from_bytes(path.read_bytes()[16:20], "big")


@pytest.mark.nightly
def test_the_pictures_of_the_documentation_can_be_taken(browser, repository, tmp_path):
    with loaded(repository / "docs" / "tools" / "demo_screenshot.py") as program, served(small()) as url:
        for name, (width, texts) in program.PICTURES.items():
            program.take(browser, url, width, texts, tmp_path / name)
            assert width_of(tmp_path / name) == width_of(repository / "docs" / "images" / name) == width


def test_without_a_browser_no_pictures(repository, capsys, monkeypatch):
    monkeypatch.setattr(shutil, "which", lambda name: None)
    message = refusal(repository / "docs" / "tools" / "demo_screenshot.py", capsys)
    assert "there is no Chromium: install it" in message
