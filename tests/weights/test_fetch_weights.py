"""Published weights by the name of a network: the table, the cache folder, a mirror, and what becomes of them."""

import hashlib
import json
import re

import jax
import numpy as np
import pytest
from file_server import serving

from cnn_jax import fetch_weights
from cnn_jax.cli import main
from cnn_jax.download import PublishedFile
from cnn_jax.models import MODELS, abstract_variables, create_model
from cnn_jax.weights import WeightsError, input_convention, load_weights, save_weights
from cnn_jax.weights.published import PUBLISHED, PublishedWeights

ROWS = [(source, network) for source, table in PUBLISHED.items() for network in table]


@pytest.mark.parametrize(("source", "network"), ROWS)
def test_a_row_names_a_network_of_ours_an_address_and_a_checksum(source, network):
    weights = PUBLISHED[source][network]
    address, digest = weights.file.url, weights.file.sha256
    assert MODELS[network].num_classes == 1000 and weights.licence and address.startswith("https://")
    assert len(digest) in (8, 64) and bool(weights.timm_config) == (source == "timm")
    if digits := re.search(r"-([0-9a-f]{8})\.pth$", address):
        assert digest.startswith(digits[1])
    else:
        assert len(digest) == 64 and re.search(r"/resolve/[0-9a-f]{40}/model\.safetensors$", address)


@pytest.fixture
def host(tmp_path, monkeypatch):
    """Weights of a narrow network, published on this machine as timm's of `resnet18`."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    folder, path = tmp_path / "host", tmp_path / "host" / "model.safetensors"
    folder.mkdir()
    model = create_model("alexnet", 3, options={"width": 0.02})
    shapes = abstract_variables(model, (224, 224, 3))
    save_weights(path, model, jax.tree.map(lambda leaf: np.ones(leaf.shape, leaf.dtype), shapes))
    with serving(folder) as (url, handler):
        content, real = path.read_bytes(), PUBLISHED["timm"]["resnet18"]
        file = PublishedFile(f"{url}/model.safetensors", len(content), hashlib.sha256(content).hexdigest())
        monkeypatch.setitem(PUBLISHED["timm"], "resnet18", PublishedWeights(file, real.licence, real.timm_config))
        yield folder, handler, model


def test_the_command_fetches_once_and_import_takes_what_it_says(host, tmp_path, capsys):
    _, handler, model = host
    for _ in range(2):
        assert main(["weights", "fetch", "resnet18", "--from", "timm", "--json"]) == 0
    figures = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert figures["file"] == str(tmp_path / "cache/cnn_jax/weights/timm/resnet18/model.safetensors")
    assert figures["licence"] == "apache-2.0, as timm says" and len(figures["sha256"]) == 64 and len(handler.asked) == 1
    convention = input_convention("resnet18", figures["file"])
    assert (convention.source, convention.interpolation) == ("timm, resnet18.a1_in1k", "bicubic")
    assert convention.eval_augment == ("resize_shorter(288)", "center_crop(288)")
    with pytest.raises(WeightsError, match=r"It is for resnet18, and this is alexnet"):
        load_weights(figures["file"], model)


def test_a_file_that_was_damaged_since_is_fetched_again(host):
    path = fetch_weights("resnet18", source="timm")["file"]
    with open(path, "r+b") as file:
        file.write(b"damage")
    assert fetch_weights("resnet18", source="timm")["file"] == path
    with open(path, "rb") as file:
        assert not file.read().startswith(b"damage")


@pytest.mark.parametrize("where", ["timm/resnet18", ""])
@pytest.mark.parametrize("by", ["argument", "environment"])
def test_a_mirror_takes_the_hosts_place(host, tmp_path, monkeypatch, where, by):
    folder, handler, _ = host
    (tmp_path / "mirror" / where).mkdir(parents=True)
    (folder / "model.safetensors").rename(tmp_path / "mirror" / where / "model.safetensors")
    if by == "environment":
        monkeypatch.setenv("CNN_JAX_MIRROR", str(tmp_path / "mirror"))
    fetch_weights("resnet18", source="timm", mirror=tmp_path / "mirror" if by == "argument" else None)
    assert not handler.asked and (tmp_path / "cache/cnn_jax/weights/timm/resnet18/config.json").exists()


def test_what_is_wrong_is_said(host, tmp_path, capsys):
    folder, _, _ = host
    fetch = ["weights", "fetch", "resnet18", "--from", "timm"]
    assert main([*fetch, "--mirror", str(tmp_path / "none")]) == 2
    assert "`--mirror` is" in capsys.readouterr().err
    assert main([*fetch, "--mirror", str(tmp_path)]) == 1
    assert "holds neither timm/resnet18/model.safetensors nor model.safetensors" in capsys.readouterr().err
    (folder / "model.safetensors").write_bytes(b"another")
    assert main(fetch) == 1
    assert re.search(r"is not what was published: 7 bytes .*--mirror DIR", capsys.readouterr().err)
    assert main(["weights", "fetch", "vgg11", "--from", "timm"]) == 2
    assert "no weights of 'vgg11' from timm are known; those of torchvision are" in capsys.readouterr().err
    assert not [*(tmp_path / "cache/cnn_jax/weights/timm/resnet18").iterdir()]
