"""An experiment file runs as `python FILE` would run it, and says in which line it goes wrong."""

import sys

import pytest

from cnn_jax.config import Config, ConfigError, flatten, from_flat, load_experiment, neighbours

PLAIN = "from cnn_jax import Config\ndef config():\n    return Config(seed={seed})\n"


def write(folder, name="e.py", text=None, **values):
    folder.mkdir(exist_ok=True)
    (folder / name).write_text(text or PLAIN.format(**{"seed": 5} | values))
    return folder / name


def test_modules_beside_the_file_are_imported(tmp_path):
    write(tmp_path, "mycommon_of_a_test.py", "SEED = 7\n")
    file = write(tmp_path, seed="SEED", text="from mycommon_of_a_test import SEED\n" + PLAIN.format(seed="SEED"))
    path = list(sys.path)
    assert load_experiment(file).seed == 7
    assert sys.path == path
    assert "mycommon_of_a_test" not in sys.modules


def test_experiments_with_other_neighbours_of_one_name_live_in_one_process(tmp_path):
    files = []
    for seed in (1, 2):
        folder = tmp_path / str(seed)
        write(folder, "neighbour.py", f"SEED = {seed}\nprint_it = 0\n")
        text = "import neighbour\nprint(neighbour.SEED)\n" + PLAIN.format(seed="neighbour.SEED")
        files.append(write(folder, text=text))
    configs = [load_experiment(file) for file in files]
    assert [config.seed for config in configs] == [1, 2]
    assert configs[0].code.digest != configs[1].code.digest
    for config in configs:  # as while it trains
        with neighbours(config.code.folder):
            import neighbour

            assert config.seed == neighbour.SEED
            assert sys.path[0] == str(config.code.folder)
    assert "neighbour" not in sys.modules


def test_a_changed_neighbour_is_read_again(tmp_path):
    file = write(tmp_path, text="import neighbour\n" + PLAIN.format(seed="neighbour.SEED"))
    for seed in (1, 22):
        write(tmp_path, "neighbour.py", f"SEED = {seed}\n")
        assert load_experiment(file).seed == seed


def test_what_was_loaded_before_stays(tmp_path):
    import json

    write(tmp_path, "json.py", "raise SystemExit('shadowed')\n")
    assert load_experiment(write(tmp_path, text="import json\n" + PLAIN.format(seed=1))).seed == 1
    assert sys.modules["json"] is json


def test_a_byte_order_mark_and_a_declared_encoding_are_read_as_python_reads_them(tmp_path):
    file = tmp_path / "e.py"
    file.write_bytes(b"\xef\xbb\xbf" + PLAIN.format(seed=3).encode())
    assert load_experiment(file).seed == 3
    file.write_bytes(b"# -*- coding: latin-1 -*-\nname = 'caf\xe9'\n" + PLAIN.format(seed="len(name)").encode())
    assert load_experiment(file).seed == 4


def test_the_file_is_a_real_module(tmp_path):
    text = (
        "from __future__ import annotations\nimport dataclasses, typing\n"
        "@dataclasses.dataclass\nclass Own:\n    width: int = 3\n"
        "assert typing.get_type_hints(Own) == {'width': int}\n" + PLAIN.format(seed="Own().width")
    )
    assert load_experiment(write(tmp_path, text=text)).seed == 3


def test_its_main_block_does_not_run(tmp_path):
    assert load_experiment(write(tmp_path, text=PLAIN.format(seed=1) + "if __name__ == '__main__':\n    1 / 0\n"))


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"x = 1\ndef config(:\n", r"`.*e.py`: line 2: invalid syntax: def config\(:"),
        (b"x = '\xff'\n", r"`.*e.py`: .*utf-8"),
        (b"x = 1\0\n", r"`.*e.py`: .*null bytes"),
        (b"import no_such_module_at_all\n", r"`.*e.py`: line 1: No module named 'no_such_module_at_all'"),
        (b"x = 1\ny = {}['a']\n", r"`.*e.py`: line 2: KeyError: 'a'"),
        (b"def config():\n    return 1 / 0\n", r"`.*e.py`: line 2: ZeroDivisionError: division by zero"),
        (b"import broken\n", r"`.*e.py`: line 1 of `.*broken.py`: .*never closed"),
    ],
    ids=["syntax", "bytes", "null", "import", "key", "in_config", "neighbour"],
)
def test_a_mistake_names_file_and_line(tmp_path, content, message):
    (tmp_path / "broken.py").write_text("x = (\n")
    (tmp_path / "e.py").write_bytes(content)
    with pytest.raises(ConfigError, match=message):
        load_experiment(tmp_path / "e.py")


def test_a_second_load_in_one_process_gives_the_same_digest(tmp_path, monkeypatch):
    write(tmp_path / "library", "loaded_by_a_computed_name.py", "def own(): return 1\n")
    monkeypatch.syspath_prepend(str(tmp_path / "library"))
    computed = "import importlib\nprint(importlib.import_module('loaded_by_' + 'a_computed_name').own())\n"
    file = write(tmp_path / "recipes", text=computed + PLAIN.format(seed=1))
    try:
        first, second = load_experiment(file).code, load_experiment(file).code
    finally:
        sys.modules.pop("loaded_by_a_computed_name", None)
    assert {f.name for f in first.files} == {"e.py", "loaded_by_a_computed_name.py"}
    assert second.digest == first.digest


def test_what_is_nested_too_deeply_to_be_read_names_the_file(tmp_path, monkeypatch):
    def too_deep(node):
        raise RecursionError

    monkeypatch.setattr("ast.unparse", too_deep)
    with pytest.raises(ConfigError, match=r"`e.py` nests an expression too deeply to be read. Write it in"):
        load_experiment(write(tmp_path, text="print(1)\n" + PLAIN.format(seed=1)))


def test_own_code_is_no_key(tmp_path):
    config = load_experiment(write(tmp_path, text="print(1)\n" + PLAIN.format(seed=1)))
    assert config.code.digest is not None
    assert not [key for key in flatten(config) if "code" in key]
    assert config == Config(seed=1, name="e")
    with pytest.raises(ConfigError, match=r"`code` is not a configuration key"):
        from_flat({"code": None})


def test_a_folder_is_told_from_a_file(tmp_path):
    file = write(tmp_path, "lenet.py")
    with pytest.raises(ConfigError, match=f"is a folder; an experiment is a Python file, such as `{file}`"):
        load_experiment(tmp_path)
