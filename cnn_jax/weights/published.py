"""Which published weights of our networks are known: address, checksum, and what is said of their licence.

torchvision's addresses are those in its source (0.29.1), of its first weights of each name; timm's, with how its images
are prepared, those in its source (1.0.31), of its first tag of each name. A file's name ends in the first eight digits
of its SHA-256. All 64 stand here where two or more projects that do not depend on each other publish them and agree.
None of these addresses has been reached by this package yet.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, get_args

from cnn_jax.download import PublishedFile

Source = Literal["torchvision", "timm"]


@dataclass(frozen=True)
class PublishedWeights:
    """The weights of one network from one source.

    Attributes:
      timm_config: the `config.json` that timm publishes beside them, as far as it is needed; empty for torchvision's.
    """

    file: PublishedFile
    licence: str
    timm_config: Mapping[str, Any] = field(default_factory=dict)


def published_weights(network: str, source: Source) -> PublishedWeights:
    """The weights of a network of ours.

    Raises:
      ValueError: for an unknown source, or a network of which it has none that are known here.
    """
    if source not in get_args(Source):
        raise ValueError(f"the source of weights is {source!r}; known are {', '.join(get_args(Source))}.")
    table = PUBLISHED[source]
    if network not in table:
        others = [name for name in get_args(Source) if network in PUBLISHED[name]]
        hint = f"; those of {others[0]} are" if others else ""
        raise ValueError(f"no weights of {network!r} from {source} are known{hint}. Known are {', '.join(table)}.")
    return table[network]


_TORCHVISION_LICENCE = (
    "BSD-3-Clause, as torchvision; whether ImageNet's terms allow your use of what was trained on it, it leaves to you"
)


def _torchvision(name: str, digest: str, num_bytes: int | None = None) -> PublishedWeights:
    url = f"https://download.pytorch.org/models/{name}-{digest[:8]}.pth"
    return PublishedWeights(PublishedFile(url, num_bytes, digest), _TORCHVISION_LICENCE)


def _config(network: str, tag: str, **images: Any) -> dict[str, Any]:
    size, moments = {"input_size": [3, 224, 224]}, {"mean": [0.485, 0.456, 0.406], "std": [0.229, 0.224, 0.225]}
    images = {"interpolation": "bicubic", "crop_pct": 0.95, "test_input_size": [3, 288, 288], **images}
    return {"architecture": network, "num_classes": 1000, "pretrained_cfg": {"tag": tag, **size, **images, **moments}}


# timm's `_rcfg`, `_ttcfg` and `_cfg`.
_RCFG: dict[str, Any] = {"test_crop_pct": 1.0}
_TTCFG: dict[str, Any] = {"crop_pct": 0.875, "test_crop_pct": 0.95}
_CFG: dict[str, Any] = {"interpolation": "bilinear", "crop_pct": 0.875, "test_input_size": [3, 224, 224]}


def _timm_hub(
    network: str, tag: str, commit: str, digest: str, num_bytes: int | None, licence: str, images: dict[str, Any]
) -> PublishedWeights:
    url = f"https://huggingface.co/timm/{network}.{tag}/resolve/{commit}/model.safetensors"
    config = _config(network, tag, **images)
    return PublishedWeights(PublishedFile(url, num_bytes, digest), f"{licence}, as timm says", config)


def _timm_release(network: str, tag: str, owner: str, name: str) -> PublishedWeights:
    release = f"https://github.com/{owner}/pytorch-image-models/releases/download/v0.1-rsb-weights"
    file = PublishedFile(f"{release}/{name}.pth", None, name.rpartition("-")[2])
    return PublishedWeights(file, "apache-2.0, as timm says", _config(network, tag, **_RCFG))


PUBLISHED: dict[Source, dict[str, PublishedWeights]] = {
    "torchvision": {
        "alexnet": _torchvision(
            "alexnet-owt", "7be5be791159472b1fbf3c69796f7cb30dca7ad8466c2df70058c37116cdee02", 244_408_911
        ),
        "vgg11": _torchvision("vgg11", "8a719046"),
        "vgg13": _torchvision("vgg13", "19584684"),
        "vgg16": _torchvision("vgg16", "397923af8e79cdbb6a7127f12361acd7a2f83e06b05044ddf496e83de57a5bf0", 553_433_881),
        "vgg19": _torchvision("vgg19", "dcbb9e9dad569fff7a846263a77324fc34978fea2bfb039c012d710e1776ae44", 574_673_361),
        "vgg11_bn": _torchvision("vgg11_bn", "6002323d"),
        "vgg13_bn": _torchvision("vgg13_bn", "abd245e5"),
        "vgg16_bn": _torchvision(
            "vgg16_bn", "6c64b3138f2f4fcb3bcc4cafde11619c4f440eb1631787e93a682fd88305888a", 553_507_836
        ),
        "vgg19_bn": _torchvision(
            "vgg19_bn", "c79401a0cf3cb42714e4182f5868c7a6f4f4534f5df9e956e2bb2098de41cbb6", 574_769_405
        ),
        "googlenet": _torchvision("googlenet", "1378be20a8e875cf1568b8a71654e704449655e34711a959a38b04fb34905cef"),
        "inception_v3": _torchvision(
            "inception_v3_google", "0cc3c7bd75056d25e46cba549dc184522069b81e9787eff6df84f397bd52a5ef", 108_949_747
        ),
        "resnet18": _torchvision(
            "resnet18", "f37072fd47e89c5e827621c5baffa7500819f7896bbacec160b1a16c560e07ec", 46_830_571
        ),
        "resnet34": _torchvision(
            "resnet34", "b627a593bcbe140c234610266fe4f8ae95ea42fc881d091c9b6052e6b1d0590f", 87_319_819
        ),
        "resnet50": _torchvision(
            "resnet50", "0676ba61b6795bbe1773cffd859882e5e297624d384b6993f7c9e683e722fb8a", 102_530_333
        ),
        "resnet101": _torchvision("resnet101", "63fe2227"),
        "resnet152": _torchvision("resnet152", "394f9c45"),
        "resnext50_32x4d": _torchvision("resnext50_32x4d", "7cdf4587"),
        "resnext101_32x8d": _torchvision("resnext101_32x8d", "8ba56ff5"),
        "wide_resnet50_2": _torchvision(
            "wide_resnet50_2", "95faca4d11227dddf8633dbb5ff6c8a9003c1aa5b8945c73834b8007b10950b8", 138_223_492
        ),
        "wide_resnet101_2": _torchvision("wide_resnet101_2", "32ee1156"),
    },
    "timm": {
        "vgg16": _timm_hub(
            "vgg16",
            "tv_in1k",
            "b8d8aa2dd860af9233c8c67385a8097fd6c35d3f",
            "57b026918159a6bf9faf8405c3a551903768e7138989d9c6224a14227203fad8",
            None,
            "bsd-3-clause",
            _CFG,
        ),
        "resnet18": _timm_hub(
            "resnet18",
            "a1_in1k",
            "491b427b45c94c7fb0e78b5474cc919aff584bbf",
            "80c49dee3da4822c009c5a7fe591e9223c5a2cfcf95a4067ca4dfb5a7b89c612",
            46_807_446,
            "apache-2.0",
            _RCFG,
        ),
        "resnet34": _timm_release("resnet34", "a1_in1k", "huggingface", "resnet34_a1_0-46f8f793"),
        "resnet50": _timm_hub(
            "resnet50",
            "a1_in1k",
            "767268603ca0cb0bfe326fa87277f19c419566ef",
            "773525d5821de224f8f30c33377b7a795d7863e08522698200d3217d3f2a41bb",
            102_469_840,
            "apache-2.0",
            _RCFG,
        ),
        "resnet101": _timm_release("resnet101", "a1h_in1k", "rwightman", "resnet101_a1h-36d3f2aa"),
        "resnet152": _timm_release("resnet152", "a1h_in1k", "rwightman", "resnet152_a1h-dc400468"),
        "resnext50_32x4d": _timm_release("resnext50_32x4d", "a1h_in1k", "rwightman", "resnext50_32x4d_a1h-0146ab0a"),
        "wide_resnet50_2": _timm_hub(
            "wide_resnet50_2",
            "racm_in1k",
            "30f73aceaaa1911830a9795b83ab1908dba18719",
            "03b71d65fb2c73bb0de079a1781009f27a782ec481d2f64ab3bde9b1cdec3000",
            275_835_296,
            "apache-2.0",
            _TTCFG,
        ),
    },
}
