"""Makes what onnxruntime says about a model; called by reference.mjs and fetch.mjs, in the environment of venv.mjs.

    reference.py random BASE OUT SEED     a light_* topology with random weights
    reference.py run MODEL INPUTS OUT     onnxruntime's outputs for the inputs of an npz

An inputs npz holds `in_<input>` (a `/` in a name is written `|`), an outputs npz `out_<i>` in the order of the graph's
outputs. A ZipMap's output (a sequence of maps with the same keys) becomes two arrays: the values as `out_<i>`
[rows, keys] and the keys as `out_<i>|keys`.
"""

import sys

import numpy as np
import onnx
import onnxruntime
from onnx import numpy_helper


def run(model, inputs, optimise=True):
    """The outputs by key. One thread, so that sums are always made in the same order."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    options.inter_op_num_threads = 1
    options.log_severity_level = 3
    if not optimise:
        options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    session = onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
    with np.load(inputs) as stored:
        feed = {k[len("in_") :].replace("|", "/"): stored[k] for k in stored.files if k.startswith("in_")}
    arrays = {}
    for i, value in enumerate(session.run(None, feed)):
        if isinstance(value, list):
            keys = list(value[0])
            arrays[f"out_{i}"] = np.array([[row[k] for k in keys] for row in value])
            arrays[f"out_{i}|keys"] = np.array(keys)
        else:
            arrays[f"out_{i}"] = value
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
    else:
        raise SystemExit(__doc__)


if __name__ == "__main__":
    main(*sys.argv[1:])
