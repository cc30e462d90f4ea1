"""What stands in the way of the kernels costs a line on the standard error, and the results are right without them."""

import os
import subprocess
import sys
from pathlib import Path

import gradients_in_a_process
import jax
import pytest

from cnn_jax.native import build

HERE = Path(__file__).parent
SLOWER = "cnn_jax computes without its own kernels, slower: "
COMPILING = "compiling cnn_jax's kernels for "


@pytest.fixture
def as_at_first_use(monkeypatch, tmp_path):
    """A process that has not asked yet, and a cache with nothing in it."""
    caches = build._ready, build._offer
    for cache in caches:
        cache.cache_clear()
    monkeypatch.setattr(build, "_LOADED", set())
    monkeypatch.delenv(build.SWITCH, raising=False)
    monkeypatch.delenv("CXX", raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setattr("cnn_jax.ops.conv_cpu.FEWEST_PRODUCTS", 0)
    yield
    for cache in caches:
        cache.cache_clear()


def script(path, text, unknown="nothing"):
    """A compiler that is one but for `text`, and does not know flags that hold a word."""
    known = f'case "$*" in *{unknown}*) exit 1;; *-fsyntax-only*) exit;; esac'
    path.write_text(f'#!/bin/sh\nif [ "$1" = --version ]; then echo "a compiler 1.0"; exit; fi\n{known}\n{text}\n')
    path.chmod(0o755)
    return str(path)


def without_kernels(capfd):
    """What is said after `SLOWER`, once, where two programs compute right gradients without the kernels."""
    capfd.readouterr()
    assert [gradients_in_a_process.calls() for _ in range(2)] == [0, 0]
    lines = [line for line in capfd.readouterr().err.splitlines() if not line.startswith(COMPILING)]
    assert len(lines) == 1 and lines[0].startswith(SLOWER), lines
    return lines[0].removeprefix(SLOWER)


def test_turned_off_nothing_is_said(as_at_first_use, monkeypatch, capfd):
    monkeypatch.setenv(build.SWITCH, "0")
    assert gradients_in_a_process.calls() == 0
    assert capfd.readouterr().err == ""
    assert str(build.offer()) == "none: CNN_JAX_NATIVE=0"


def test_no_compiler(as_at_first_use, monkeypatch, capfd, tmp_path):
    with monkeypatch.context() as patch:
        patch.setenv("PATH", str(tmp_path))
        assert without_kernels(capfd) == "no C++ compiler, g++ or clang++."
    build._ready.cache_clear()
    monkeypatch.setenv("CXX", "missing")
    assert without_kernels(capfd) == "no C++ compiler, missing."


def test_a_compiler_that_fails_is_asked_once(as_at_first_use, monkeypatch, capfd, tmp_path):
    compiler = script(tmp_path / "c++", f'echo >>{tmp_path}/asked; echo "x.cc:1: error: no such thing" >&2; exit 1')
    monkeypatch.setenv("CXX", compiler)
    why = f"{compiler} failed: x.cc:1: error: no such thing"
    assert str(build.offer()).endswith(", a compiler 1.0")
    assert without_kernels(capfd) == f"{why}."
    build._ready.cache_clear()  # another process
    assert without_kernels(capfd).startswith(f"{why} (remove ")
    assert str(build.offer()).startswith(f"none: {why}")
    assert (tmp_path / "asked").read_text() == "\n"


def test_a_compiler_that_makes_nothing(as_at_first_use, monkeypatch, capfd, tmp_path):
    monkeypatch.setenv("CXX", script(tmp_path / "c++", "exit 0"))
    assert "No such file" in without_kernels(capfd)


def test_a_cache_that_cannot_be_written(as_at_first_use, monkeypatch, capfd, tmp_path):
    (tmp_path / "file").touch()
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))
    why = without_kernels(capfd)
    assert why.startswith(f"{tmp_path}/file/cnn_jax/native/")
    assert why.endswith(" cannot be written, set $XDG_CACHE_HOME to a folder of yours.")
    assert str(build.offer()) == f"none: {why.removesuffix('.')}"


def test_a_cache_that_cannot_even_be_looked_at(as_at_first_use, monkeypatch, capfd, tmp_path):
    long = tmp_path / (
        "long" * 100
    )  # a name for which, as for another user's folder, the system has an error and no answer
    monkeypatch.setenv("XDG_CACHE_HOME", str(long))
    assert without_kernels(capfd).endswith(": File name too long; set $XDG_CACHE_HOME to a folder of yours.")


def test_a_cache_that_cannot_be_made_though_nothing_shows_it(as_at_first_use, monkeypatch, capfd):
    monkeypatch.setenv("XDG_CACHE_HOME", "/proc/nowhere")  # which root may write to, by its permissions
    assert "/proc/nowhere" in without_kernels(capfd)


@pytest.mark.parametrize("missing", ["avx2", "fma"])
def test_a_processor_without_the_extensions(as_at_first_use, monkeypatch, capfd, missing):
    flags = build.processor_flags()
    monkeypatch.setattr(build, "processor_flags", lambda: flags - {missing})
    assert without_kernels(capfd) == "they need Linux and a processor with AVX2."


def test_the_widest_extension_of_the_processor_is_taken(as_at_first_use, monkeypatch):
    narrow, wide = (set(build._EXTENSIONS[name]) for name in ("AVX2", "AVX-512"))
    halves, tiles = wide | {"avx512_bf16"}, wide | {"avx512_bf16", "amx_tile", "amx_bf16"}
    for flags, lent, extension in (
        (narrow, True, "AVX2"),
        (wide, True, "AVX-512"),
        (narrow | {"avx512f"}, True, "AVX2"),
        (halves, True, "AVX-512 BF16"),
        (tiles, True, "AMX"),
        (tiles, False, "AVX-512 BF16"),
        (tiles - {"avx512_bf16"}, True, "AVX-512"),
    ):
        build._offer.cache_clear()
        monkeypatch.setattr(build, "processor_flags", lambda flags=flags: set(flags))
        monkeypatch.setattr(build, "_linux_lends_tiles", lambda lent=lent: lent)
        assert build.offer().extension == extension
        assert build.multiplies_bfloat16() == (extension in ("AVX-512 BF16", "AMX"))


@pytest.mark.parametrize(
    ("unknown", "extension"), [("amx", "AVX-512 BF16"), ("bf16", "AVX-512"), ("avx512", "AVX2"), ("avx2", "AVX2")]
)
def test_the_widest_extension_that_the_compiler_knows(as_at_first_use, monkeypatch, tmp_path, unknown, extension):
    monkeypatch.setattr(build, "processor_flags", lambda: set(build._EXTENSIONS["AMX"]))
    monkeypatch.setattr(build, "_linux_lends_tiles", lambda: True)
    monkeypatch.setenv("CXX", script(tmp_path / "c++", "", unknown))
    assert build.offer().extension == extension


def test_linux_lends_tiles_only_where_there_are_some():
    assert "amx_tile" in build.processor_flags() or not build._linux_lends_tiles()


def test_another_jaxlib_compiler_processor_or_source_is_another_library(cache, monkeypatch, tmp_path):
    found = build.offer()
    there = build._folder(found)
    assert (there / "kernels.so").is_file() and there.is_relative_to(cache)
    others = [found._replace(version="another"), found._replace(extension="AVX-512 BF16")]
    folders = {build._folder(other) for other in (found, *others)}
    with monkeypatch.context() as patch:
        patch.setattr(build.metadata, "version", lambda name: "0.0.1")
        folders.add(build._folder(found))
    for path in build._HERE.iterdir():
        if path.suffix in (".h", ".cc"):
            (tmp_path / path.name).write_bytes(path.read_bytes())
    monkeypatch.setattr(build, "_HERE", tmp_path)
    monkeypatch.setattr(build, "_SOURCE", tmp_path / "handlers.cc")
    assert build._folder(found) == there
    (tmp_path / "vectors.h").write_text((tmp_path / "vectors.h").read_text() + "\n")
    folders.add(build._folder(found))
    assert len(folders) == 5 - (found.extension == "AVX-512 BF16")


def test_the_library_is_loaded_once_whatever_the_cache(cache, monkeypatch, capfd, tmp_path):
    build._ready.cache_clear()
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert build.ready() and capfd.readouterr().err == "" and not list(tmp_path.iterdir())


def test_a_library_of_garbage(as_at_first_use, capfd):
    folder = build._folder(build.offer())
    folder.mkdir(parents=True)
    (folder / "kernels.so").write_bytes(b"garbage" * 100)
    assert "invalid ELF header" in without_kernels(capfd)


def test_a_library_of_another_user_is_not_loaded(as_at_first_use, monkeypatch, capfd, tmp_path):
    folder = build._folder(build.offer())
    folder.mkdir(parents=True)
    (folder / "kernels.so").write_bytes(b"garbage")
    user = os.getuid()
    monkeypatch.setattr(build.os, "getuid", lambda: user + 1)
    monkeypatch.setattr(build.subprocess, "run", lambda *_, **__: (_ for _ in ()).throw(OSError("compiled anew")))
    assert without_kernels(capfd) == "compiled anew."


def processes(count, compiler, folder):
    """So many at once, with this compiler and cache: what each says, and on its standard error."""
    environment = os.environ | {"CXX": compiler, "XDG_CACHE_HOME": str(folder)}
    command = [sys.executable, gradients_in_a_process.__file__]
    pipes = dict(stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    started = [subprocess.Popen(command, env=environment, **pipes) for _ in range(count)]
    ended = [process.communicate(timeout=120) for process in started]
    assert [process.returncode for process in started] == [0] * count, ended
    return ended


def test_kernels_that_compute_something_else(tmp_path):
    include = jax.ffi.include_dir()
    compile = f'exec g++ -O0 -std=c++17 -fPIC -shared -isystem {include} {HERE / "unwritten.cc"} -o "$target"'
    compiler = script(tmp_path / "c++", f"for target; do :; done\n{compile}")
    ((out, err),) = processes(1, compiler, tmp_path / "cache")
    assert out == "0 0\n"
    said, slower = err.splitlines()
    assert said.startswith(COMPILING) and slower == f"{SLOWER}Convolution of float32 differs from NumPy's."


def test_two_processes_build_at_once(cache, tmp_path):
    # Each waits for the other to be compiling, too, and for the library that is there already.
    library = build._folder(build.offer()) / "kernels.so"
    wait = f"until [ $(ls {tmp_path}/begun-* | wc -l) = 2 ]; do sleep 0.05; done"
    compiler = script(
        tmp_path / "c++", f'for target; do :; done\ntouch {tmp_path}/begun-$$\n{wait}\ncp {library} "$target"'
    )
    for out, err in processes(2, compiler, tmp_path / "cache"):
        assert out == "3 3\n" and err.count("\n") == 1 and err.startswith(COMPILING)
    (folder,) = (tmp_path / "cache" / "cnn_jax" / "native").iterdir()
    assert [path.name for path in folder.iterdir()] == ["kernels.so"]
    ((out, err),) = processes(1, compiler, tmp_path / "cache")  # a third has nothing to compile
    assert (out, err) == ("3 3\n", "")
