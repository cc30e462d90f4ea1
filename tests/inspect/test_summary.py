import io
import json

import pytest
from flax import linen as nn
from rich.console import Console

from cnn_jax.inspect import comparison_table, layer_table, summary
from cnn_jax.models.published import PUBLISHED

# GMACs of torchvision's weight metadata.
GMACS = {
    "alexnet": 0.71,
    "vgg11": 7.61,
    "vgg11_bn": 7.61,
    "vgg13": 11.31,
    "vgg13_bn": 11.31,
    "vgg16": 15.47,
    "vgg16_bn": 15.47,
    "vgg19": 19.63,
    "vgg19_bn": 19.63,
    "googlenet": 1.5,
    "inception_v3": 5.713,
    "resnet18": 1.814,
    "resnet34": 3.664,
    "resnet50": 4.089,
    "resnet101": 7.801,
    "resnet152": 11.514,
    "resnext50_32x4d": 4.23,
    "resnext101_32x8d": 16.41,
    "wide_resnet50_2": 11.4,
    "wide_resnet101_2": 22.75,
}


# Longer than others of their families, and walked alike.
LONG = {
    "googlenet",
    "resnext50_32x4d",
    "resnet34",
    "vgg13",
    "vgg13_bn",
    "vgg16_bn",
    "vgg19",
    "vgg19_bn",
    "inception_v3",
    "resnet101",
    "resnet152",
    "resnext101_32x8d",
    "wide_resnet50_2",
    "wide_resnet101_2",
}


@pytest.mark.parametrize("name", [pytest.param(n, marks=[pytest.mark.slow] * (n in LONG)) for n in GMACS])
def test_macs_are_within_1_percent_of_the_published_figure(name):
    found = summary(name)
    # The figure is rounded to two or three places; AlexNet's to 0.7 %.
    assert found.macs / 1e9 == pytest.approx(GMACS[name], rel=0.01)
    assert sum(layer.parameters for layer in found.layers) == found.params
    assert found.macs == PUBLISHED[name].macs


OTHERS = [name for name in PUBLISHED if name not in GMACS and name != "lenet5"]


@pytest.mark.parametrize("name", ["lenet5", *(pytest.param(n, marks=pytest.mark.slow) for n in OTHERS)])
def test_macs_are_those_that_the_list_of_networks_shows(name):
    assert summary(name).macs == PUBLISHED[name].macs


def test_lenet5_by_hand():
    rows = {layer.name: layer for layer in summary("lenet5").layers}
    assert list(rows) == ["c1", "avg_pool1", "c3", "avg_pool2", "c5", "f6", "head"]
    assert rows["c1"].macs == 28 * 28 * 6 * 25 and rows["c1"].flops == 2 * rows["c1"].macs
    assert rows["c3"].macs == 10 * 10 * 16 * 25 * 6
    assert rows["c5"].macs == 400 * 120
    assert [rows[name].parameters for name in rows] == [156, 0, 2416, 0, 48120, 10164, 850]
    assert [rows[name].output_shape for name in ("c1", "avg_pool2", "f6")] == [(28, 28, 6), (5, 5, 16), (84,)]
    assert rows["c1"].activation_bytes == 28 * 28 * 6 * 4
    # 5, then +1·1 by pooling, +4·2 by the second convolution, +1·2 by pooling, then the whole image.
    fields = [rows[name].receptive_field[0] for name in ("c1", "avg_pool1", "c3", "avg_pool2", "c5")]
    assert fields == [5, 6, 14, 16, 32]


@pytest.mark.parametrize(
    ("name", "layer", "field"),
    [
        # Araujo, Norris and Sim 2019, "Computing Receptive Fields of Convolutional Neural Networks", table 1.
        ("alexnet_paper", "max_pool3", 195),
        ("vgg16", "max_pool5", 212),
        # A basic block adds 2·jump twice; through 7×7/2 (7), pooling (11), two blocks at jump 4 (11 + 4·8 = 43).
        ("resnet18", "stage1_block2/conv2", 43),
        ("resnet50", "stage4_block3/conv3", 427),
    ],
)
def test_receptive_fields_are_the_published_ones(name, layer, field):
    rows = {row.name: row for row in summary(name).layers}
    assert rows[layer].receptive_field == (field, field)


def test_row_and_column_filters_see_rectangles():
    class Rectangles(nn.Module):
        @nn.compact
        def __call__(self, images, *, train):
            x = nn.Conv(2, (2, 2), (2, 2), name="before")(images)
            x = nn.Conv(2, (7, 1), name="column")(nn.Conv(2, (1, 7), name="row")(x))
            return nn.Dense(3)(x.mean((1, 2)))

    rows = {row.name: row for row in summary(Rectangles(), (16, 16, 1)).layers}
    assert rows["row"].receptive_field == (2, 2 + 6 * 2)
    assert rows["column"].receptive_field == (2 + 6 * 2, 2 + 6 * 2)


def test_summary_names_normalisations_and_global_average():
    rows = summary("resnet20_cifar").layers
    assert sum(row.kind == "norm" for row in rows) == sum(row.kind == "conv" for row in rows) == 19
    assert rows[1].name == "stem_norm" and rows[1].parameters == 32
    assert rows[-2].kind == "global_avg_pool" and rows[-2].kernel == (8, 8)


def test_size_classes_dtype_and_options_count():
    small = summary("resnet18", 32, 10, dtype="bfloat16", options={"stem": "cifar"})
    assert small.layers[0].output_shape == (32, 32, 64) and small.layers[0].kernel == (3, 3, 3, 64)
    assert small.layers[0].activation_bytes == 32 * 32 * 64 * 2
    assert small.layers[-1].output_shape == (10,)


def test_summary_refuses_a_size_that_the_network_cannot_take():
    with pytest.raises(ValueError, match="VGG needs images of at least 32×32, got 16×16"):
        summary("vgg16", 16)


def test_tables_and_json_say_the_same():
    found = summary("alexnet_paper")
    figures = json.loads(json.dumps(found.as_dict()))
    assert figures["flops"] == 2 * figures["macs"] == sum(layer["flops"] for layer in figures["layers"])
    console = Console(width=200, record=True, file=io.StringIO())
    console.print(layer_table(found), comparison_table([found, summary("lenet5")]))
    text = console.export_text()
    assert "60,965,224" in text and "724.4 M" in text and "61,706" in text and "conv5" in text


def test_a_module_of_one_s_own_is_summed_up_too():
    class Own(nn.Module):
        @nn.compact
        def __call__(self, images, *, train):
            x = nn.Conv(5, (3, 3))(images)
            return nn.Dense(7)(nn.relu(x).mean((1, 2)))

    found = summary(Own(), (10, 12, 3))
    assert (found.model, found.image_shape, found.num_classes) == ("Own", (10, 12, 3), 7)
    assert found.params == (3 * 3 * 3 * 5 + 5) + (5 * 7 + 7)
    assert found.macs == 10 * 12 * 3 * 3 * 3 * 5 + 5 * 7
    with pytest.raises(ValueError, match=r"a module needs `image_size` as \(height, width, channels\)"):
        summary(Own(), 10)
