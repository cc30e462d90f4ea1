"""The classes of the known data sets, in the order of their labels."""

import string

from cnn_jax.data.sets.checksums import tfds_file

DIGITS = tuple(string.digits)
CLOTHES = ("T-shirt/top", "Trouser", "Pullover", "Dress", "Coat", "Sandal", "Shirt", "Sneaker", "Bag", "Ankle boot")
HIRAGANA = ("o", "ki", "su", "tsu", "na", "ha", "ma", "ya", "re", "wo")
LETTERS = tuple(string.ascii_uppercase)
CHARACTERS = (*string.digits, *string.ascii_uppercase, *string.ascii_lowercase)
# Lower-case letters that look like their capitals are counted with them.
MERGED_CHARACTERS = (*string.digits, *string.ascii_uppercase, *"abdefghnqrt")
CIFAR10 = ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck")
STL10 = ("airplane", "bird", "car", "cat", "deer", "dog", "horse", "monkey", "ship", "truck")
_CIFAR100_NAMES = """
apple aquarium_fish baby bear beaver bed bee beetle bicycle bottle bowl boy bridge bus butterfly camel can castle
caterpillar cattle chair chimpanzee clock cloud cockroach couch crab crocodile cup dinosaur dolphin elephant flatfish
forest fox girl hamster house kangaroo keyboard lamp lawn_mower leopard lion lizard lobster man maple_tree motorcycle
mountain mouse mushroom oak_tree orange orchid otter palm_tree pear pickup_truck pine_tree plain plate poppy porcupine
possum rabbit raccoon ray road rocket rose sea seal shark shrew skunk skyscraper snail snake spider squirrel streetcar
sunflower sweet_pepper table tank telephone television tiger tractor train trout tulip turtle wardrobe whale
willow_tree wolf woman worm
"""
CIFAR100 = tuple(_CIFAR100_NAMES.split())
# Imagenette's folders are named by WordNet's identifiers; sorted, these are the classes.
IMAGENETTE = {
    "n01440764": "tench",
    "n02102040": "English springer",
    "n02979186": "cassette player",
    "n03000684": "chain saw",
    "n03028079": "church",
    "n03394916": "French horn",
    "n03417042": "garbage truck",
    "n03425413": "gas pump",
    "n03445777": "golf ball",
    "n03888257": "parachute",
}


def imagenet_wordnet_ids() -> tuple[str, ...]:
    """The 1,000 WordNet identifiers of ImageNet 2012 in label order, from the list that TFDS ships."""
    return tuple(tfds_file("datasets/imagenet2012/labels.txt").split())


def imagenet_validation_ids() -> tuple[str, ...]:
    """The WordNet identifier of each of the 50,000 validation images, by the number in its name, as TFDS ships them."""
    return tuple(tfds_file("datasets/imagenet2012/validation_labels.txt").split())
