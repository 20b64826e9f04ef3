"""Trains the digits example from nothing and writes digits.onnx and heldout.npz beside this file.

Made with Python 3.11, numpy 2.4.6, scikit-learn 1.9.1, onnx 1.23.2 and onnxruntime 1.32.0:

    python3 -m venv venv && venv/bin/pip install numpy==2.4.6 scikit-learn==1.9.1 onnx==1.23.2 onnxruntime==1.32.0
    venv/bin/python train.py

The data are scikit-learn's digits: 1797 images of 8x8 pixels, values 0..16, scaled here to [0, 1]. A seeded
permutation splits them into 1437 for training and 360 held out. The net is

    image [N,1,8,8] -> Conv 3x3, 16 -> Relu -> Conv 3x3, 32 -> Relu -> MaxPool 2x2 -> Flatten -> Gemm -> scores [N,10]

Training is numpy alone: the net has 9930 weights and needs no framework.
Every random choice comes from one seed, so a rerun gives the same files wherever numpy's BLAS sums in the same order;
elsewhere the weights differ in their last digits and the accuracy by an image or so.
"""

from pathlib import Path

import numpy as np
import onnx
import onnxruntime
from numpy.lib.stride_tricks import sliding_window_view
from onnx import TensorProto, helper, numpy_helper
from sklearn.datasets import load_digits

HERE = Path(__file__).resolve().parent
SEED = 20
TRAIN = 1437
EPOCHS = 60
BATCH = 32
CLASSES = 10


def load():
    """The images as f32 [n,1,8,8] in [0, 1] and their labels, split into (train, held out)."""
    digits = load_digits()
    images = (digits.images / 16).astype(np.float32)[:, None]
    labels = digits.target.astype(np.int32)
    order = np.random.default_rng(SEED).permutation(len(images))
    train, held = order[:TRAIN], order[TRAIN:]
    return (images[train], labels[train]), (images[held], labels[held])


def initial(rng):
    """He-normal weights: each layer keeps the variance of what it reads."""

    def normal(*shape):
        fan_in = int(np.prod(shape[1:]))
        return (rng.standard_normal(shape) * np.sqrt(2 / fan_in)).astype(np.float32)

    def zeros(n):
        return np.zeros(n, np.float32)

    return {
        "conv1.weight": normal(16, 1, 3, 3), "conv1.bias": zeros(16),
        "conv2.weight": normal(32, 16, 3, 3), "conv2.bias": zeros(32),
        "fc.weight": normal(CLASSES, 32 * 4 * 4), "fc.bias": zeros(CLASSES),
    }  # fmt: skip


def columns(x):
    """The 3x3 windows of x padded by one, as rows [n*h*w, c*9], so that a convolution is one matrix product."""
    n, c, h, w = x.shape
    windows = sliding_window_view(np.pad(x, ((0, 0), (0, 0), (1, 1), (1, 1))), (3, 3), axis=(2, 3))
    return windows.transpose(0, 2, 3, 1, 4, 5).reshape(n * h * w, c * 9)


def conv(x, weight, bias):
    n, _, h, w = x.shape
    cols = columns(x)
    y = cols @ weight.reshape(len(weight), -1).T + bias
    return y.reshape(n, h, w, -1).transpose(0, 3, 1, 2), cols


def conv_grad(dy, cols, weight):
    """Gradients by weight, bias and input; the input's is a convolution with the filters flipped and transposed."""
    rows = dy.transpose(0, 2, 3, 1).reshape(-1, dy.shape[1])
    flipped = weight[:, :, ::-1, ::-1].transpose(1, 0, 2, 3)
    return (rows.T @ cols).reshape(weight.shape), rows.sum(0), conv(dy, flipped, np.float32(0))[0]


def pool(x):
    """Max of 2x2 tiles, and the share of each element in its tile's gradient (ties share it)."""
    n, c, h, w = x.shape
    tiles = x.reshape(n, c, h // 2, 2, w // 2, 2)
    top = tiles.max(axis=(3, 5), keepdims=True)
    hit = (tiles == top).astype(np.float32)
    return top[:, :, :, 0, :, 0], hit / hit.sum(axis=(3, 5), keepdims=True)


def step(p, x, labels):
    """One forward and backward pass: the gradients of the mean cross entropy by every weight."""
    n = len(x)
    z1, cols1 = conv(x, p["conv1.weight"], p["conv1.bias"])
    a1 = np.maximum(z1, 0)
    z2, cols2 = conv(a1, p["conv2.weight"], p["conv2.bias"])
    a2 = np.maximum(z2, 0)
    pooled, share = pool(a2)
    flat = pooled.reshape(n, -1)
    scores = flat @ p["fc.weight"].T + p["fc.bias"]

    e = np.exp(scores - scores.max(axis=1, keepdims=True))
    d = e / e.sum(axis=1, keepdims=True)
    d[np.arange(n), labels] -= 1
    d /= n

    g = {"fc.weight": d.T @ flat, "fc.bias": d.sum(0)}
    d_pooled = (d @ p["fc.weight"]).reshape(pooled.shape)
    d2 = (share * d_pooled[:, :, :, None, :, None]).reshape(a2.shape) * (z2 > 0)
    g["conv2.weight"], g["conv2.bias"], d1 = conv_grad(d2, cols2, p["conv2.weight"])
    g["conv1.weight"], g["conv1.bias"], _ = conv_grad(d1 * (z1 > 0), cols1, p["conv1.weight"])
    return g


def shifted(rng, x):
    """Each image moved by up to one pixel either way: the set is small and writers do not centre exactly."""
    padded = np.pad(x, ((0, 0), (0, 0), (1, 1), (1, 1)))
    dy, dx = rng.integers(0, 3, (2, len(x)))
    return np.stack([padded[i, :, dy[i] : dy[i] + 8, dx[i] : dx[i] + 8] for i in range(len(x))])


def train(images, labels):
    """Adam with a cosine-decayed rate and a little weight decay."""
    rng = np.random.default_rng(SEED)
    p = initial(rng)
    m = {k: np.zeros_like(v) for k, v in p.items()}
    v = {k: np.zeros_like(w) for k, w in p.items()}
    t, total = 0, EPOCHS * -(-len(images) // BATCH)
    for _ in range(EPOCHS):
        order = rng.permutation(len(images))
        for at in range(0, len(images), BATCH):
            pick = order[at : at + BATCH]
            g = step(p, shifted(rng, images[pick]), labels[pick])
            t += 1
            rate = 2e-3 * (1 + np.cos(np.pi * t / total)) / 2
            for k in p:
                m[k] = 0.9 * m[k] + 0.1 * g[k]
                v[k] = 0.999 * v[k] + 0.001 * g[k] ** 2
                update = m[k] / (1 - 0.9**t) / (np.sqrt(v[k] / (1 - 0.999**t)) + 1e-8)
                p[k] = (p[k] - rate * (update + 1e-2 * p[k])).astype(np.float32)
    return p


def export(p):
    """The trained net as ONNX, opset 17, with a symbolic batch."""
    pads = {"kernel_shape": [3, 3], "pads": [1, 1, 1, 1]}
    nodes = [
        helper.make_node("Conv", ["image", "conv1.weight", "conv1.bias"], ["conv1"], "conv1", **pads),
        helper.make_node("Relu", ["conv1"], ["relu1"], "relu1"),
        helper.make_node("Conv", ["relu1", "conv2.weight", "conv2.bias"], ["conv2"], "conv2", **pads),
        helper.make_node("Relu", ["conv2"], ["relu2"], "relu2"),
        helper.make_node("MaxPool", ["relu2"], ["pool"], "pool", kernel_shape=[2, 2], strides=[2, 2]),
        helper.make_node("Flatten", ["pool"], ["flat"], "flatten"),
        helper.make_node("Gemm", ["flat", "fc.weight", "fc.bias"], ["scores"], "fc", transB=1),
    ]
    graph = helper.make_graph(
        nodes,
        "digits",
        [helper.make_tensor_value_info("image", TensorProto.FLOAT, ["N", 1, 8, 8])],
        [helper.make_tensor_value_info("scores", TensorProto.FLOAT, ["N", CLASSES])],
        [numpy_helper.from_array(w, k) for k, w in p.items()],
    )
    # IR version 8 is the one that came with opset 17: older readers refuse a newer one.
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8, producer_name="ingot")
    onnx.checker.check_model(model, full_check=True)
    return model


def main():
    (images, labels), (held_images, held_labels) = load()
    model = export(train(images, labels))
    onnx.save(model, HERE / "digits.onnx")
    np.savez_compressed(HERE / "heldout.npz", in_image=held_images, labels=held_labels)

    session = onnxruntime.InferenceSession(str(HERE / "digits.onnx"), providers=["CPUExecutionProvider"])
    stored = np.load(HERE / "heldout.npz")
    (scores,) = session.run(["scores"], {"image": stored["in_image"]})
    right = int((scores.argmax(axis=1) == stored["labels"]).sum())
    print(f"held out: {right} of {len(held_labels)} right ({100 * right / len(held_labels):.2f}%)")
    if right < 0.98 * len(held_labels):
        raise SystemExit("accuracy on the held-out images is under 98%")


if __name__ == "__main__":
    main()
