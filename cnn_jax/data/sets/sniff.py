"""Whether a file is an image, by the bytes that it begins with: names lie, or have endings that nobody thought of."""

import os

# The formats that `decode_image` reads, each with the mark at its beginning; "." stands for any byte.
_MARKS = (
    b"\xff\xd8\xff",  # JPEG, and MPO
    b"\x89PNG\r\n\x1a\n",
    b"GIF87a",
    b"GIF89a",
    b"BM....\0\0\0\0",
    b"RIFF....WEBP",
    b"II*\0",  # TIFF, little and big endian
    b"MM\0*",
    b"....ftypavif",
    b"\0\0\0\x0cjP  \r\n\x87\n",  # JPEG 2000, in its container and bare
    b"\xff\x4f\xff\x51",
    b"DDS ",
    b"qoif",
    b"8BPS",
    *(f"P{kind}\n".encode() for kind in range(1, 7)),  # PBM, PGM, PPM; with a blank it could be a note on a P5
)
_LONGEST = max(map(len, _MARKS))


def is_image(path: str | os.PathLike[str]) -> bool:
    """Whether a file begins as an image that can be read; raises OSError where it cannot be opened."""
    with open(path, "rb") as file:
        head = file.read(_LONGEST)
    return any(_begins(head, mark) for mark in _MARKS)


def _begins(head: bytes, mark: bytes) -> bool:
    return len(head) >= len(mark) and all(wanted in (ord("."), seen) for seen, wanted in zip(head, mark, strict=False))
