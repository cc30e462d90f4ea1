"""Small archives in the official formats, written independently of our readers."""

import gzip
import io
import struct
import tarfile
import zipfile
from pathlib import Path

import numpy as np
from PIL import Image


def write_idx(path: Path, array: np.ndarray) -> None:
    """An IDX file, compressed where the name ends in .gz."""
    header = bytes([0, 0, 8, array.ndim]) + struct.pack(f">{array.ndim}I", *array.shape)
    path.write_bytes(gzip.compress(header + array.tobytes()) if path.suffix == ".gz" else header + array.tobytes())


def write_tar(path: Path, members: dict[str, bytes]) -> None:
    """A tar file, compressed where the name says so."""
    mode = "w:gz" if path.name.endswith("gz") else "w"
    with tarfile.open(path, mode) as tar:
        for name, content in members.items():
            entry = tarfile.TarInfo(name)
            entry.size = len(content)
            tar.addfile(entry, io.BytesIO(content))


def random_images(count: int, side: int, seed: int) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (count, side, side, 3), np.uint8)


def write_cifar10(source: Path) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """CIFAR-10's archive with 5 × 4 training and 6 test images."""
    content = {"train": (random_images(20, 32, 0), np.arange(20) % 10), "test": (random_images(6, 32, 1), np.arange(6))}
    files = {f"data_batch_{i + 1}": [part[4 * i : 4 * i + 4] for part in content["train"]] for i in range(5)}
    files["test_batch"] = list(content["test"])
    members = {"cifar-10-batches-bin/batches.meta.txt": b"airplane\n"}
    for name, (images, labels) in files.items():
        records = b"".join(
            bytes([label]) + image.transpose(2, 0, 1).tobytes() for image, label in zip(images, labels, strict=True)
        )
        members[f"cifar-10-batches-bin/{name}.bin"] = records
    write_tar(source / "cifar-10-binary.tar.gz", members)
    return content


def write_cifar100(source: Path) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """CIFAR-100's archive with 100 training and 5 test images; coarse labels differ from the fine ones."""
    content = {
        "train": (random_images(100, 32, 2), np.arange(100)),
        "test": (random_images(5, 32, 3), np.arange(95, 100)),
    }
    members = {}
    for split, (images, labels) in content.items():
        records = b"".join(
            bytes([19 - label % 20, label]) + image.transpose(2, 0, 1).tobytes()
            for image, label in zip(images, labels, strict=True)
        )
        members[f"cifar-100-binary/{split}.bin"] = records
    write_tar(source / "cifar-100-binary.tar.gz", members)
    return content


def write_stl10(source: Path) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """STL-10's archive with 20 training, 10 test and 7 unlabelled images, and ten folds of four training images."""
    content = {
        "train": (random_images(20, 96, 4), np.arange(20) % 10),
        "test": (random_images(10, 96, 5), np.arange(10)),
        "unlabeled": (random_images(7, 96, 6), None),
    }
    members = {}
    for split, (images, labels) in content.items():
        # each channel column by column
        members[f"stl10_binary/{split}_X.bin"] = b"".join(
            image[..., channel].tobytes(order="F") for image in images for channel in range(3)
        )
        if labels is not None:
            members[f"stl10_binary/{split}_y.bin"] = bytes(int(label) + 1 for label in labels)
    folds = "".join(" ".join(str((7 * fold + i) % 20) for i in range(4)) + " \n" for fold in range(10))
    members["stl10_binary/fold_indices.txt"] = folds.encode()
    write_tar(source / "stl10_binary.tar.gz", members)
    return content


def write_emnist(source: Path, name: str, classes: int) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """EMNIST's zip with one of its ways to split; the images lie in it transposed, and letters count from 1."""
    content = {}
    with zipfile.ZipFile(source / "gzip.zip", "w") as packed:
        for split, count in (("train", 2 * classes), ("test", classes)):
            images = np.random.default_rng(count).integers(0, 256, (count, 28, 28), np.uint8)
            labels = (np.arange(count) % classes).astype(np.uint8)
            content[split] = images, labels
            stored = labels + (name == "letters")
            for kind, array in (("images-idx3", images.swapaxes(1, 2)), ("labels-idx1", stored.astype(np.uint8))):
                file = source / "one.gz"
                write_idx(file, np.ascontiguousarray(array))
                packed.write(file, f"gzip/emnist-{name}-{split}-{kind}-ubyte.gz")
                file.unlink()
    return content


def jpeg(seed: int, height: int = 40, width: int = 56, **options) -> bytes:
    """A JPEG of smooth colours with a little noise."""
    random = np.random.default_rng(seed)
    rows, columns = np.mgrid[0:height, 0:width]
    waves = [128 + 80 * np.sin(5 * rows / height + (6 + c) * columns / width + 6 * random.random()) for c in range(3)]
    pixels = np.clip(np.stack(waves, axis=-1) + random.normal(0, 4, (height, width, 3)), 0, 255).astype(np.uint8)
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "JPEG", **{"quality": 92, **options})
    return buffer.getvalue()


def tar_bytes(members: dict[str, bytes]) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as tar:
        for name, content in members.items():
            entry = tarfile.TarInfo(name)
            entry.size = len(content)
            tar.addfile(entry, io.BytesIO(content))
    return buffer.getvalue()


def write_imagenet(source: Path, wordnet_ids: list[str]) -> dict[str, list[tuple[bytes, str]]]:
    """ImageNet's two tars with three training images of each class given and the first six validation images."""
    train = {w: {f"{w}_{i}.JPEG": jpeg(100 * c + i) for i in range(3)} for c, w in enumerate(wordnet_ids)}
    write_tar(source / "ILSVRC2012_img_train.tar", {f"{w}.tar": tar_bytes(images) for w, images in train.items()})
    validation = {f"ILSVRC2012_val_{i:08}.JPEG": jpeg(900 + i) for i in range(1, 7)}
    write_tar(source / "ILSVRC2012_img_val.tar", validation)
    return {
        "train": [(content, w) for w, images in train.items() for content in images.values()],
        "validation": [(content, name) for name, content in validation.items()],
    }
