import platform

from torchmoji.machine import processor, versions


def test_the_processor_comes_with_its_cores():
    assert processor().endswith(" cores")
    assert not processor().startswith(",")


def test_versions_name_python_and_packages():
    assert versions("numpy").startswith(f"Python {platform.python_version()}, numpy ")
