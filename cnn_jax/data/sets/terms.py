"""The terms and the source of every known data set: what to keep to, and what to cite."""

from typing import NamedTuple


class Terms(NamedTuple):
    """Of a data set.

    Attributes:
      licence: as its publishers state it; "not stated" where they state none, which is not permission.
      citation: what to cite.
    """

    licence: str
    citation: str


# By the name under which the archives are published.
TERMS: dict[str, Terms] = {
    "digits": Terms(
        "CC BY 4.0",
        "Alpaydin and Kaynak 1998, Optical Recognition of Handwritten Digits, UCI Machine Learning Repository",
    ),
    "mnist": Terms(
        "CC BY-SA 3.0",
        "LeCun, Bottou, Bengio and Haffner 1998, Gradient-Based Learning Applied to Document Recognition, "
        "Proceedings of the IEEE 86(11)",
    ),
    "kmnist": Terms(
        "CC BY-SA 4.0",
        "Clanuwat, Bober-Irizar, Kitamoto, Lamb, Yamamoto and Ha 2018, Deep Learning for Classical Japanese "
        "Literature, arXiv:1812.01718",
    ),
    "fashion_mnist": Terms(
        "MIT",
        "Xiao, Rasul and Vollgraf 2017, Fashion-MNIST: a Novel Image Dataset for Benchmarking Machine Learning "
        "Algorithms, arXiv:1708.07747",
    ),
    "emnist": Terms(
        "not stated",
        "Cohen, Afshar, Tapson and van Schaik 2017, EMNIST: an extension of MNIST to handwritten letters, "
        "arXiv:1702.05373",
    ),
    "cifar10": Terms("not stated", "Krizhevsky 2009, Learning Multiple Layers of Features from Tiny Images"),
    "cifar100": Terms("not stated", "Krizhevsky 2009, Learning Multiple Layers of Features from Tiny Images"),
    "imagenet2012": Terms(
        "research, by agreement",
        "Russakovsky et al. 2015, ImageNet Large Scale Visual Recognition Challenge, IJCV 115(3)",
    ),
    "imagenette": Terms(
        "Apache 2.0; images as ImageNet's",
        "Howard, Imagenette; Russakovsky et al. 2015, ImageNet Large Scale Visual Recognition Challenge, IJCV 115(3)",
    ),
    "stl10": Terms(
        "not stated",
        "Coates, Ng and Lee 2011, An Analysis of Single-Layer Networks in Unsupervised Feature Learning, AISTATS",
    ),
}
