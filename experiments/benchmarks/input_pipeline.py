"""The input pipeline beside tf.data and grain: the same work, ours and each peer in turn in one run.

    uv run --group tensorflow --group bench python experiments/benchmarks/input_pipeline.py [memory | jpeg]
    uv run python experiments/benchmarks/input_pipeline.py cores

memory: batches of 128 from 20,000 images of 32×32×3 in memory, padded by 4, cropped, and flipped at random. Ours
gathers whole batches on the host and augments inside jit; tf.data maps TensorFlow's ops over the examples on all cores
and batches; grain maps NumPy over the examples and batches.

jpeg: 256 files of 500×375, one box of random-resized-crop each (the same boxes on both sides), scaled bilinearly to
224×224. Ours is `decode_crop` in a pool of threads, as in training; tf.data is `decode_and_crop_jpeg` and `resize` on
all cores.

cores: such files as a training reads them, from the records of a prepared set, by 1, 2, 4, … cores with a thread each.

Each line is the best of the rounds: images/s, images per second of processor time (which other work on the machine
disturbs less), and ours divided by the peer's. They are rates of one machine: trust the ratios.

Result of `cores`, files of 62 kB on average, in five runs on a virtual machine whose speed changes by the minute (AMD
EPYC, Zen 3): with one core 508 to 785 images/s, median 604; with two 446 to 698 a core, median 599. With 16 cores: not
run.
"""

import io
import itertools
import os
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

from cnn_jax.data import ArrayDataset, DatasetInfo, apply_augment, load_dataset, parse_augment, prefetch, train_batches
from cnn_jax.data.decoding.decode import decode_crop, example_uniforms
from cnn_jax.data.decoding.encoded import available_processors, parallel_for
from cnn_jax.data.decoding.host_crop import random_resized_crop

BATCH, ROUNDS, PADDING = 128, 6, 4


def compare(pipelines: dict[str, tuple[Callable[[], Iterator[Any]], int, int]]) -> None:
    """Time each pipeline (make it, the number of steps, images a step) in turn, and print rates and ratios.

    Every round makes the pipelines anew, so that none fills its buffers while another one is timed.
    """
    wall, processor = dict.fromkeys(pipelines, 0.0), dict.fromkeys(pipelines, 0.0)
    for _ in range(ROUNDS):
        for name, (make, steps, size) in pipelines.items():
            stream = make()
            for _ in range(3):
                next(stream)
            began, began_processor = time.perf_counter(), time.process_time()
            for _ in range(steps):
                next(stream)
            images = steps * size
            wall[name] = max(wall[name], images / (time.perf_counter() - began))
            processor[name] = max(processor[name], images / (time.process_time() - began_processor))
            del stream
    for name in pipelines:
        ratios = wall["ours"] / wall[name], processor["ours"] / processor[name]
        print(
            f"  {name:<8} {wall[name]:>9,.0f} images/s, {processor[name]:>9,.0f} per second of processor time; "
            f"ours: {ratios[0]:.2f} and {ratios[1]:.2f} times that"
        )


def memory() -> None:
    """Crop and flip of small images in memory."""
    import grain
    import tensorflow as tf

    tf.config.set_visible_devices([], "GPU")
    count = 20_000
    images = np.random.default_rng(0).integers(0, 256, (count, 32, 32, 3), np.uint8)
    labels = np.arange(count, dtype=np.int32) % 10

    def ours() -> Iterator[object]:
        info = DatasetInfo("random", "train", count, 10, (32, 32, 3), (), (), (), "0.0.0")
        augment = parse_augment([f"pad_crop({PADDING})", "horizontal_flip()"])
        on_device = jax.jit(lambda x, e, i: apply_augment(augment, x, seed=0, epoch=e, index=i))
        waiting = None
        for batch in train_batches(ArrayDataset(images, labels, info), BATCH, seed=0):
            made = on_device(batch["image"], batch["epoch"], batch["index"]), batch["label"]
            if waiting is not None:  # one batch ahead, as a training loop is
                yield waiting[0].block_until_ready(), waiting[1]
            waiting = made

    def tf_data() -> Iterator[object]:
        def augment(image: tf.Tensor, label: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
            padded = tf.pad(image, [[PADDING, PADDING], [PADDING, PADDING], [0, 0]])
            return tf.image.random_flip_left_right(tf.image.random_crop(padded, (32, 32, 3))), label

        data = tf.data.Dataset.from_tensor_slices((images, labels)).shuffle(count, seed=0).repeat()
        data = data.map(augment, num_parallel_calls=tf.data.AUTOTUNE).batch(BATCH, drop_remainder=True)
        return iter(data.prefetch(1).as_numpy_iterator())

    class Augment(grain.transforms.RandomMap):
        def random_map(self, element: dict, rng: np.random.Generator) -> dict:
            padded = np.pad(element["image"], ((PADDING, PADDING), (PADDING, PADDING), (0, 0)))
            top, left = rng.integers(0, 2 * PADDING + 1, 2)
            crop = padded[top : top + 32, left : left + 32]
            return {"image": crop[:, ::-1] if rng.random() < 0.5 else crop, "label": element["label"]}

    class Source:
        def __len__(self) -> int:
            return count

        def __getitem__(self, index: int) -> dict:
            return {"image": images[index], "label": labels[index]}

    def per_item() -> Iterator[object]:
        data = grain.MapDataset.source(Source()).shuffle(seed=0).repeat(None).seed(0).random_map(Augment())
        return iter(data.batch(BATCH, drop_remainder=True).to_iter_dataset())

    print(f"crop and flip, 32×32×3, batches of {BATCH}, {available_processors()} cores")
    compare({"ours": (ours, 400, BATCH), "tf.data": (tf_data, 150, BATCH), "grain": (per_item, 60, BATCH)})


def pictures() -> list[bytes]:
    """256 JPEG files of noisy waves, 500×375, of 62.5 kB on average."""
    from PIL import Image

    files = []
    for seed in range(256):
        random = np.random.default_rng(seed)
        rows, columns = np.mgrid[0:375, 0:500]
        waves = [128 + 90 * np.sin(rows / random.uniform(8, 40) + columns / random.uniform(8, 40)) for _ in range(3)]
        noisy = np.stack(waves, axis=-1) + random.normal(0, 8, (375, 500, 3))
        buffer = io.BytesIO()
        Image.fromarray(np.clip(noisy, 0, 255).astype(np.uint8)).save(buffer, "JPEG", quality=90)
        files.append(buffer.getvalue())
    return files


def jpeg() -> None:
    """Random-resized-crop of JPEG files."""
    import tensorflow as tf

    crop = random_resized_crop(224)
    files = pictures()
    boxes = np.array([crop.box(example_uniforms(0, 0, index), 375, 500) for index in range(len(files))], np.int32)
    pool = ThreadPoolExecutor(available_processors())
    size = 64
    windows = [range(first, first + size) for first in range(0, len(files), size)]

    def ours() -> Iterator[np.ndarray]:
        for window in itertools.cycle(windows):
            out = np.empty((size, 224, 224, 3), np.uint8)

            def decode(place: int, out: np.ndarray = out, first: int = window[0]) -> None:
                decode_crop(files[first + place], "", crop, example_uniforms(0, 0, first + place), out[place])

            parallel_for(pool, available_processors(), decode, size)
            yield out

    def tf_data() -> Iterator[np.ndarray]:
        def decode(content: tf.Tensor, box: tf.Tensor) -> tf.Tensor:
            image = tf.image.resize(tf.io.decode_and_crop_jpeg(content, box, channels=3), (224, 224))
            return tf.cast(tf.round(image), tf.uint8)

        data = tf.data.Dataset.from_tensor_slices((files, boxes)).repeat()
        data = data.map(decode, num_parallel_calls=tf.data.AUTOTUNE).batch(size)
        return iter(data.prefetch(1).as_numpy_iterator())

    difference = np.abs(next(ours()).astype(int) - next(tf_data()))
    print(f"JPEG 500×375 to 224×224, {available_processors()} cores; largest difference {difference.max()} of 255")
    # Both prepare the next batch while this one is looked at.
    compare({"ours": (lambda: prefetch(ours(), size=1), 12, size), "tf.data": (tf_data, 12, size)})
    pool.shutdown()


def cores() -> None:
    """Random-resized-crop of the JPEG files of a prepared set."""
    mine = sorted(os.sched_getaffinity(0))
    with tempfile.TemporaryDirectory() as place:
        for number, content in enumerate(pictures()):
            file = Path(place, "pictures", "train", f"class{number % 2}", f"{number}.jpg")
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_bytes(content)
        print("JPEG 500×375 to 224×224, from records")
        for count in (n for n in (1, 2, 4, 8, 16, 32) if n <= len(mine)):
            os.sched_setaffinity(0, mine[:count])
            folder, root, crop = Path(place, "pictures"), Path(place), random_resized_crop(224)
            data = load_dataset("folder", "train", root=root, folder=folder, crop=crop, validation_fraction=0)
            indices, rates = np.arange(len(data)), []
            for epoch in range(ROUNDS):
                began, began_processor = time.perf_counter(), time.process_time()
                data.images(indices, epoch=np.full(len(data), epoch))
                rates.append(
                    (len(data) / (time.perf_counter() - began), len(data) / (time.process_time() - began_processor))
                )
            wall, processor = (max(rate) for rate in zip(*rates, strict=True))
            print(
                f"  {count:>2} cores {wall:>7,.0f} images/s, {wall / count:>5,.0f} a core; "
                f"{processor:>5,.0f} per second of processor time"
            )


if __name__ == "__main__":
    wanted = sys.argv[1:] or ["memory", "jpeg"]
    print(f"jax {jax.__version__}, {jnp.zeros(()).device}")
    for part in wanted:
        {"memory": memory, "jpeg": jpeg, "cores": cores}[part]()
