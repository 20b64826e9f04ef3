"""Makes the second input sets io/NAME@2.npz of the models with symbolic dims; run in the environment of venv.mjs.

    "$(node test/models/venv.mjs)" test/models/inputs.py

Their sizes are those of `"@2".run_inputs` in models.json, unlike the first set's in most dims that the model leaves open,
and mostly no round numbers. Their values are what the model is used on, in coarse steps (8-bit pixels, 12-bit samples) so
that they compress.
"""

import json
import zlib
from pathlib import Path

import numpy as np

HERE = Path(__file__).resolve().parent


def pixels(rng, shape, channels_last=False):
    """Images in -1..1: a smooth pattern per image and channel, with noise, in 8-bit steps."""
    n, c, h, w = (shape[0], shape[3], shape[1], shape[2]) if channels_last else shape
    y, x = np.mgrid[0:h, 0:w] / 16
    fy, fx, phase = rng.uniform(0.2, 2, (3, n, c, 1, 1))
    wave = np.sin(fy * y + fx * x + 6 * phase) * 90 + rng.normal(0, 12, (n, c, h, w))
    image = (np.clip(np.rint(wave), -127, 127) / 127).astype(np.float32)
    return np.ascontiguousarray(image.transpose(0, 2, 3, 1)) if channels_last else image


def pages(rng, shape):
    """Grey pages with lines of dark strokes, in -1..1: where nothing looks like text rapidocr_det answers 0 everywhere."""
    n, c, h, w = shape
    page = np.full((n, 1, h, w), 110) + rng.integers(-8, 9, (n, 1, h, w))
    for image in page[:, 0]:
        for top in range(8, h - 20, 28):
            for left in range(8, w - 20, 9):
                kind = rng.integers(0, 5)
                if kind > 0:
                    image[top : top + 14, left : left + 2] = -110
                if kind > 1:
                    image[top + 7 * (kind % 3) : top + 7 * (kind % 3) + 2, left : left + 7] = -110
                if kind > 3:
                    image[top : top + 14, left + 5 : left + 7] = -110
    return (np.broadcast_to(page, shape) / 127).astype(np.float32)


def sound(rng, shape):
    """Chords in -1..1 with a little noise, in 12-bit steps; shape is [batch, samples], or with a 1 behind."""
    batch, samples = shape[:2]
    t = np.arange(samples) / 16000
    pitch = rng.uniform(100, 2000, (batch, 4, 1))
    wave = 0.2 * np.sin(2 * np.pi * pitch * t).sum(axis=1) + rng.normal(0, 0.01, (batch, samples))
    return (np.rint(np.clip(wave, -1, 1) * 2047) / 2047).astype(np.float32).reshape(shape)


def tokens(rng, shape):
    """Token ids and the mask of a padded batch: each row is shorter than the one before."""
    batch, length = shape
    mask = (np.arange(length) < length - 4 * np.arange(batch)[:, None]).astype(np.int64)
    return rng.integers(1000, 20000, shape) * mask, mask


def letters(rng, name, shape):
    """Letters or phonemes by number, the mask of rows of which each is shorter than the one before, and what goes with them."""
    if name == "scales":
        # Without noise: its numbers are each engine's own.
        return np.array([0, 1, 0], np.float32)
    if name == "input_lengths":
        return np.array([23], np.int64)
    if name.endswith("mask"):
        return np.arange(shape[1]) < shape[1] - 2 * np.arange(shape[0])[:, None]
    if name in ("memory", "hidden"):
        return np.rint(rng.normal(0, 1, shape) * 16).astype(np.float32) / 16
    return rng.integers(1, 30 if len(shape) == 2 else 2, shape)


def text_bytes(rng, shape):
    """magika's view of a file: its first 1024 bytes and its last, with 256 where the file is too short."""
    words = ["import ", "def ", "return ", "self.", "for ", "in ", "(x)", ":\n", "    ", "# a ", "0x1f", " = "]
    rows = np.full(shape, 256, np.int32)
    for row, length in zip(rows, (1024, 300)):
        text = "".join(rng.choice(words, 400)).encode()[:length]
        row[:length] = row[shape[1] - length :] = np.frombuffer(text, np.uint8)
    return rows


def inputs(name, shapes, rng):
    """The inputs of one model by name, of the given shapes."""
    shape = next(iter(shapes.values()))
    if name == "rapidocr_det":
        arrays = [pages(rng, shape)]
    elif name.startswith(("rapid", "mtcnn")):
        arrays = [pixels(rng, shape, channels_last=name.startswith("mtcnn"))]
    elif name == "basic_pitch":
        arrays = [sound(rng, shape)]
    elif name == "wakeword_melspectrogram":
        arrays = [sound(rng, shape) * np.float32(8000)]
    elif name == "wakeword_embedding":
        # Features as the melspectrogram model gives them, after the caller's x / 10 + 2.
        arrays = [np.rint(rng.normal(8, 2, shape) * 16).astype(np.float32) / 16]
    elif name == "magika_v3_3":
        arrays = [text_bytes(rng, shape)]
    elif name in ("aecmos_16k", "plcmos_v2"):
        # Log spectra and a rater's embedding are about normal; a first state is 0.
        coarse = [np.rint(rng.normal(0, 1, s) * 16).astype(np.float32) / 16 for s in shapes.values()]
        arrays = [a * (k != "h0") for k, a in zip(shapes, coarse)]
    elif name.startswith(("romanizer", "tashkeel", "piper")):
        arrays = [letters(rng, k, s) for k, s in shapes.items()]
    else:
        ids, mask = tokens(rng, shape)
        arrays = [ids, mask, np.zeros_like(ids)][: len(shapes)]
    return dict(zip(shapes, arrays))


def main():
    for model in json.loads((HERE / "models.json").read_text()):
        second = model.get("@2")
        if second is None:
            continue
        name = model["name"]
        shapes = {k: tuple(shape) for k, (_, shape) in second["run_inputs"].items()}
        # Seeded by name, so that adding a model changes no other.
        arrays = inputs(name, shapes, np.random.default_rng(zlib.crc32(name.encode())))
        for k, (dtype, shape) in second["run_inputs"].items():
            assert arrays[k].dtype == dtype and list(arrays[k].shape) == shape, (name, k)
        path = HERE / "io" / f"{name}@2.npz"
        np.savez_compressed(path, **{f"in_{k.replace('/', '|')}": v for k, v in arrays.items()})
        print(path.name, path.stat().st_size)


if __name__ == "__main__":
    main()
