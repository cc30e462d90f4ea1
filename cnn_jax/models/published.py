"""What `cnn-jax models` says of every network: what it costs, and which paper it is from.

Counting all of them takes minutes; tests compare each row with what `cnn-jax summary` counts.
"""

from typing import NamedTuple


class Published(NamedTuple):
    """Of a network at its published image size and classes.

    Attributes:
      parameters: their number.
      macs: multiplications with additions, of one image.
      paper: where it is from.
    """

    parameters: int
    macs: int
    paper: str


PUBLISHED: dict[str, Published] = {
    "lenet5": Published(61_706, 416_520, "LeCun et al. 1998"),
    "alexnet": Published(61_100_840, 714_188_480, "Krizhevsky 2014"),
    "alexnet_paper": Published(60_965_224, 724_406_816, "Krizhevsky et al. 2012"),
    "vgg11": Published(132_863_336, 7_609_090_048, "Simonyan and Zisserman 2014"),
    "vgg13": Published(133_047_848, 11_308_466_176, "Simonyan and Zisserman 2014"),
    "vgg16": Published(138_357_544, 15_470_264_320, "Simonyan and Zisserman 2014"),
    "vgg19": Published(143_667_240, 19_632_062_464, "Simonyan and Zisserman 2014"),
    "vgg11_bn": Published(132_868_840, 7_609_090_048, "Simonyan and Zisserman 2014"),
    "vgg13_bn": Published(133_053_736, 11_308_466_176, "Simonyan and Zisserman 2014"),
    "vgg16_bn": Published(138_365_992, 15_470_264_320, "Simonyan and Zisserman 2014"),
    "vgg19_bn": Published(143_678_248, 19_632_062_464, "Simonyan and Zisserman 2014"),
    "googlenet": Published(6_624_904, 1_498_376_192, "Szegedy et al. 2014, as torchvision has it"),
    "googlenet_paper": Published(6_998_552, 1_582_671_872, "Szegedy et al. 2014"),
    "inception_v3": Published(23_834_568, 5_713_216_096, "Szegedy et al. 2015"),
    "resnet18": Published(11_689_512, 1_814_073_344, "He et al. 2015"),
    "resnet34": Published(21_797_672, 3_663_761_408, "He et al. 2015"),
    "resnet50": Published(25_557_032, 4_089_184_256, "He et al. 2015, stride on the 3×3, as torchvision has it"),
    "resnet101": Published(44_549_160, 7_801_405_440, "He et al. 2015, stride on the 3×3, as torchvision has it"),
    "resnet152": Published(60_192_808, 11_513_626_624, "He et al. 2015, stride on the 3×3, as torchvision has it"),
    "resnet50_v1": Published(25_557_032, 3_857_973_248, "He et al. 2015"),
    "resnet50_v2": Published(25_549_352, 4_089_184_256, "He et al. 2016"),
    "resnext50_32x4d": Published(25_028_904, 4_230_479_872, "Xie et al. 2017"),
    "resnext101_32x8d": Published(88_791_336, 16_414_015_488, "Xie et al. 2017"),
    "wide_resnet50_2": Published(68_883_240, 11_398_021_120, "Zagoruyko and Komodakis 2016"),
    "wide_resnet101_2": Published(126_886_696, 22_753_050_624, "Zagoruyko and Komodakis 2016"),
    "resnet8_cifar": Published(75_290, 12_239_488, "He et al. 2015"),
    "resnet20_cifar": Published(269_722, 40_551_040, "He et al. 2015"),
    "resnet32_cifar": Published(464_154, 68_862_592, "He et al. 2015"),
    "resnet44_cifar": Published(658_586, 97_174_144, "He et al. 2015"),
    "resnet56_cifar": Published(853_018, 125_485_696, "He et al. 2015"),
    "resnet110_cifar": Published(1_727_962, 252_887_680, "He et al. 2015"),
    "resnet20_v2_cifar": Published(269_722, 40_551_040, "He et al. 2016"),
    "resnet32_v2_cifar": Published(464_154, 68_862_592, "He et al. 2016"),
    "resnet44_v2_cifar": Published(658_586, 97_174_144, "He et al. 2016"),
    "resnet56_v2_cifar": Published(853_018, 125_485_696, "He et al. 2016"),
    "resnet110_v2_cifar": Published(1_727_962, 252_887_680, "He et al. 2016"),
    "resnet164_v2_cifar": Published(1_703_258, 247_646_720, "He et al. 2016"),
    "wrn16_8": Published(10_961_370, 1_548_145_664, "Zagoruyko and Komodakis 2016"),
    "wrn28_10": Published(36_479_194, 5_243_328_768, "Zagoruyko and Komodakis 2016"),
    "plain34": Published(21_623_848, 3_644_493_824, "He et al. 2015"),
    "plain20_cifar": Published(269_722, 40_551_040, "He et al. 2015"),
    "plain32_cifar": Published(464_154, 68_862_592, "He et al. 2015"),
    "plain44_cifar": Published(658_586, 97_174_144, "He et al. 2015"),
    "plain56_cifar": Published(853_018, 125_485_696, "He et al. 2015"),
}
