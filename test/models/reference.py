"""Makes what onnxruntime says about a model; called by reference.mjs and fetch.mjs, in the environment of venv.mjs.

    reference.py random BASE OUT SEED     a light_* topology with random weights
    reference.py run MODEL INPUTS OUT     onnxruntime's outputs for the inputs of an npz
    reference.py trace MODEL HOW OUT      a recording frame by frame, and what onnxruntime makes of each

An inputs npz holds `in_<input>` (a `/` in a name is written `|`), an outputs npz `out_<i>` in the order of the graph's
outputs. A ZipMap's output (a sequence of maps with the same keys) becomes two arrays: the values as `out_<i>`
[rows, keys] and the keys as `out_<i>|keys`.
"""

import json
import sys

import numpy as np
import onnx
import onnxruntime
from onnx import numpy_helper


def open_session(model, optimise=True):
    """One thread, so that sums are always made in the same order."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    options.inter_op_num_threads = 1
    options.log_severity_level = 3
    if not optimise:
        options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    return onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])


def run(model, inputs, optimise=True):
    """The outputs by key."""
    session = open_session(model, optimise)
    with np.load(inputs) as stored:
        feed = {k[len("in_") :].replace("|", "/"): stored[k] for k in stored.files if k.startswith("in_")}
    arrays = {}
    for i, value in enumerate(session.run(None, feed)):
        if isinstance(value, list):
            keys = list(value[0])
            # The bindings give Python's numbers: a ZipMap's values are float32.
            arrays[f"out_{i}"] = np.array([[row[k] for k in keys] for row in value], np.float32)
            arrays[f"out_{i}|keys"] = np.array(keys)
        else:
            arrays[f"out_{i}"] = value
    return arrays


def recording(rate):
    """Four seconds like speech: hum, a voice of harmonics whose pitch and loudness move, a hiss, a click, silence; in 16-bit steps."""
    rng = np.random.default_rng(rate)
    t = np.arange(4 * rate) / rate
    phase = 2 * np.pi * np.cumsum(120 + 30 * np.sin(2 * np.pi * 1.3 * t)) / rate
    partials = [k for k in range(1, 24) if k * 150 < rate / 2]
    formants = lambda f: np.exp(-(((f - 700) / 250) ** 2)) + 0.6 * np.exp(-(((f - 1300) / 300) ** 2))
    voice = sum((0.05 + formants(120 * k)) * np.sin(k * phase) for k in partials)
    syllables = np.clip(np.sin(2 * np.pi * 3 * t), 0, None) * ((t > 0.6) & (t < 2.4))
    hiss = rng.normal(0, 0.1, t.size) * ((t > 2.6) & (t < 3))
    wave = 0.002 * np.sin(2 * np.pi * 50 * t) + 0.15 * voice * syllables + hiss + rng.normal(0, 1e-3, t.size) * (t < 3.4)
    wave[int(3.2 * rate)] += 0.8
    return (np.rint(np.clip(wave, -1, 1) * 32767) / 32768).astype(np.float32)


def trace(model, how):
    """For each rate R: `R/frames` [steps, samples], and `R/NAME` [steps, ...] for each output, every state fed back to its input."""
    session = open_session(model)
    outputs = [o.name for o in session.get_outputs()]
    shapes = {i.name: i.shape for i in session.get_inputs()}
    arrays = {}
    for rate, (length, context) in how["frames"].items():
        wave = np.concatenate([np.zeros(context, np.float32), recording(int(rate))])
        starts = range(0, wave.size - context - length + 1, length)
        frames = np.stack([wave[s : s + context + length] for s in starts])
        # Whatever the model leaves open of a state's shape is the batch.
        states = {i: np.zeros([d if isinstance(d, int) else 1 for d in shapes[i]], np.float32) for i in how["state"]}
        steps = []
        for frame in frames:
            feed = {how["input"]: frame[None], how["rate"]: np.array(int(rate), np.int64), **states}
            steps.append(dict(zip(outputs, session.run(None, feed))))
            states = {i: steps[-1][o] for i, o in how["state"].items()}
        arrays[f"{rate}/frames"] = frames
        arrays |= {f"{rate}/{o}": np.stack([s[o] for s in steps]) for o in outputs}
    return arrays


def use_of(name, graph):
    """The node that reads a weight, and as which input, seen through the Unsqueeze or Reshape that may lie between."""
    node, at = next((n, list(n.input).index(name)) for n in graph.node if name in n.input)
    if node.op_type in ("Unsqueeze", "Reshape") and at == 0:
        return use_of(node.output[0], graph)
    return node, at


def random_weights(path, seed):
    """The topology with weights of sensible scale: activations neither vanish nor overflow, whatever the depth.

    All weights are replaced, the few real ones too that the light models kept (small biases and statistics): they belong
    to trained filters that are gone, and their variances (5e-4 in densenet) would blow the activations up.
    """
    model = onnx.load(path)
    graph = model.graph
    rng = np.random.default_rng(seed)
    initializers = {t.name: t for t in graph.initializer}
    makers = {n.output[0]: n for n in graph.node if n.op_type == "ConstantOfShape"}
    shape_inputs = {n.input[0] for n in makers.values()}
    weights = {name: tuple(numpy_helper.to_array(initializers[n.input[0]])) for name, n in makers.items()}
    weights |= {t.name: tuple(t.dims) for t in graph.initializer if t.data_type == onnx.TensorProto.FLOAT}
    used = {name for n in graph.node for name in n.input}
    weights = {name: shape for name, shape in weights.items() if name in used}

    def random(name, shape):
        normal = rng.standard_normal(shape, np.float32)
        node, at = use_of(name, graph)
        role = (node.op_type, at)
        if role in (("Conv", 1), ("Gemm", 1)):
            # The Gemms of these models have transB = 1 and may reshape their weight on the way: [outputs, ..., inputs].
            fan_in = np.prod(shape[1:]) if role[0] == "Conv" else shape[-1]
            return normal * np.float32(np.sqrt(2 / fan_in))
        if role in (("BatchNormalization", 1), ("Mul", 1)):
            # The branches of a residual sum enter it at half: else every block doubles the variance, and resnet50 ends
            # in a softmax of one 1 and many 0, which would test one argmax.
            branch = any(n.op_type == "Sum" and node.output[0] in n.input for n in graph.node)
            return np.float32(0.5 if branch else 1) + np.float32(0.1) * normal
        if role == ("BatchNormalization", 4):
            return rng.uniform(0.5, 1.5, shape).astype(np.float32)
        if role in (("Conv", 2), ("Gemm", 2), ("BatchNormalization", 2), ("BatchNormalization", 3), ("Add", 1)):
            return np.float32(0.1) * normal
        raise ValueError(f"{name} is {role}: no rule says how to fill it")

    made = [numpy_helper.from_array(random(name, weights[name]), name) for name in sorted(weights)]
    kept = [t for t in graph.initializer if t.name not in weights and t.name not in shape_inputs]
    nodes = [n for n in graph.node if n.op_type != "ConstantOfShape"]
    inputs = [v for v in graph.input if v.name not in initializers]
    for field, values in (("node", nodes), ("initializer", kept + made), ("input", inputs)):
        values = [type(v).FromString(v.SerializeToString()) for v in values]
        graph.ClearField(field)
        getattr(graph, field).extend(values)
    # Before IR version 4 every initializer is an input as well, hence not a constant.
    model.ir_version = 4
    onnx.checker.check_model(model)
    return model


def main(command, *args):
    if command == "random":
        base, out, seed = args
        with open(out, "wb") as f:
            f.write(random_weights(base, int(seed)).SerializeToString(deterministic=True))
    elif command == "run":
        model, inputs, out = args
        with open(out, "wb") as f:
            np.savez(f, **run(model, inputs))
    elif command == "trace":
        model, how, out = args
        with open(out, "wb") as f:
            np.savez_compressed(f, **trace(model, json.loads(how)))
    else:
        raise SystemExit(__doc__)


if __name__ == "__main__":
    main(*sys.argv[1:])
