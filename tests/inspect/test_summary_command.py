import json

from cnn_jax.cli import main


def test_summary_prints_one_network_as_json(capsys):
    assert main(["summary", "lenet5", "--json"]) == 0
    figures = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert (figures["model"], figures["params"]) == ("lenet5", 61706)
    assert figures["flops"] == 2 * figures["macs"]
    assert figures["layers"][0]["name"] == "c1"


def test_summary_compares_networks(capsys):
    assert main(["summary", "resnet20_cifar", "plain20_cifar", "--image-size", "64", "--classes", "100"]) == 0
    out = capsys.readouterr().out
    assert "plain20_cifar" in out and "64×64×3" in out


def test_summary_names_close_matches(capsys):
    assert main(["summary", "resnet5"]) == 2
    assert "unknown model 'resnet5'; did you mean" in capsys.readouterr().err


def test_summary_needs_a_network(capsys):
    assert main(["summary"]) == 2
    assert "summary" in capsys.readouterr().err
