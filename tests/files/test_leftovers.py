from torchmoji.files.atomic import atomic_path, remove_leftovers


def test_only_what_a_killed_write_left_is_removed(tmp_path):
    kept = {"model.safetensors", ".lock", ".hidden.txt", ".a.0123.bin"}
    for name in kept:
        (tmp_path / name).touch()
    left = []
    for name in ("model.safetensors", "checkpoint.pt", "noending"):
        with atomic_path(tmp_path / name) as temporary:
            left.append(temporary.name)
        (tmp_path / name).unlink()
        (tmp_path / temporary.name).touch()
    (tmp_path / "model.safetensors").touch()
    assert all((tmp_path / name).is_file() for name in left)
    remove_leftovers(tmp_path)
    assert {path.name for path in tmp_path.iterdir()} == kept
