"""The peers that are Python packages; child.ts has the other end of the line.

    peers.py serve NAME MODEL INPUTS.npz     a contender: onnxruntime, openvino, or iree with what `build` made
    peers.py build NAME MODEL INPUTS.npz OUT a model made ahead of time: iree (a .vmfb), emx (C)

Only run() is timed. Each library runs on one thread.
"""

import json
import os
import sys
import time


def arrays(npz):
    """The inputs `in_<name>` by name; a `|` in a key is a `/`."""
    import numpy as np

    with np.load(npz) as stored:
        return {k.removeprefix("in_").replace("|", "/"): stored[k] for k in stored.files}


def load_onnxruntime(model, inputs):
    import onnxruntime as ort

    options = ort.SessionOptions()
    options.intra_op_num_threads = 1
    options.inter_op_num_threads = 1
    options.log_severity_level = 3
    session = ort.InferenceSession(model, options, providers=["CPUExecutionProvider"])
    return ort.__version__, lambda: session.run(None, inputs)


def load_openvino(model, inputs):
    import openvino as ov

    core = ov.Core()
    network = core.read_model(model)
    network.reshape({name: list(x.shape) for name, x in inputs.items()})
    # Where the processor has bfloat16, f32 models would run in it.
    settings = {"INFERENCE_NUM_THREADS": 1, "NUM_STREAMS": 1, "INFERENCE_PRECISION_HINT": "f32"}
    request = core.compile_model(network, "CPU", settings).create_infer_request()
    run = lambda: list(request.infer(inputs, share_inputs=True, share_outputs=True).values())
    return ov.__version__.split("-")[0], run


def load_iree(model, inputs):
    from importlib.metadata import version

    import iree.runtime as rt

    module = rt.load_vm_flatbuffer_file(model, driver="local-sync")
    # Each function has an asynchronous twin, NAME$async.
    function = module[next(n for n in module.vm_module.function_names if "$" not in n)]
    with open(model + ".json") as f:
        values = [inputs[name] for name in json.load(f)]

    def run():
        results = function(*values)
        results = results if isinstance(results, (tuple, list)) else [results]
        return [r.to_host() for r in results]

    return version("iree-base-runtime"), run


def fixed(model, inputs):
    """The model with the dims of its inputs as they are given, for compilers that want them, and the order of its inputs."""
    import onnx

    m = onnx.load(model)
    constants = {t.name for t in m.graph.initializer}
    ports = [v for v in m.graph.input if v.name not in constants]
    for v in ports:
        for d, n in zip(v.type.tensor_type.shape.dim, inputs[v.name].shape):
            d.dim_value = n
    # Shapes that were inferred for other dims would contradict.
    m.graph.ClearField("value_info")
    for v in m.graph.output:
        for d in v.type.tensor_type.shape.dim:
            d.Clear()
    return onnx.shape_inference.infer_shapes(m, data_prop=True), [v.name for v in ports]


def build_iree(model, inputs, out):
    import subprocess

    import iree.compiler.tools as tools
    import onnx

    m, order = fixed(model, inputs)
    # Its importer knows few operators of old opsets.
    if m.opset_import[0].version < 17:
        m = onnx.version_converter.convert_version(m, 17)
    onnx.save(m, out + ".onnx")
    importer = ["-m", "iree.compiler.tools.import_onnx", out + ".onnx", "-o", out + ".mlir"]
    subprocess.run([sys.executable, *importer], check=True, stdout=sys.stderr)
    flags = ["--iree-llvmcpu-target-cpu=host"]
    tools.compile_file(out + ".mlir", output_file=out, target_backends=["llvm-cpu"], input_type="onnx", extra_args=flags)
    with open(out + ".json", "w") as f:
        json.dump(order, f)
    return order


def build_emx(model, inputs, out):
    import subprocess

    import onnx

    m, order = fixed(model, inputs)
    onnx.save(m, out + ".onnx")
    command = os.path.join(os.path.dirname(sys.executable), "emx-onnx-cgen")
    arguments = [command, "compile", out + ".onnx", out, "--model-name", "model", "--restrict-arrays"]
    subprocess.run([sys.executable, *arguments], check=True, stdout=sys.stderr)
    return order


def say(x):
    protocol.write(json.dumps(x) + "\n")
    protocol.flush()


def serve(load, model, npz):
    import numpy as np

    inputs = arrays(npz)
    now = time.perf_counter
    before = now()
    version, run = load(model, inputs)
    loaded = now()
    outputs = run()
    ended = now()
    numbers = [np.asarray(x) for x in outputs]
    check = None
    if all(x.dtype.kind in "fiub" for x in numbers):
        check = sum(float(np.abs(x.astype(np.float64)).sum()) for x in numbers)
    check = check if check is not None and np.isfinite(check) else None
    say({"version": version, "loadMs": (loaded - before) * 1e3, "firstMs": (ended - loaded) * 1e3, "check": check})
    for line in sys.stdin:
        limit = float(line) / 1e3
        times = []
        start = now()
        while True:
            before = now()
            run()
            after = now()
            times.append((after - before) * 1e3)
            if after - start >= limit:
                break
        say({"times": times})


# Standard output is for the protocol, whatever a library prints.
protocol = os.fdopen(os.dup(1), "w")
os.dup2(2, 1)
try:
    command, name, model, npz, *rest = sys.argv[1:]
    if command == "serve":
        loads = {"onnxruntime": load_onnxruntime, "openvino": load_openvino, "iree": load_iree}
        serve(loads[name], model, npz)
    else:
        builds = {"iree": build_iree, "emx": build_emx}
        before = time.perf_counter()
        order = builds[name](model, arrays(npz), *rest)
        say({"compileMs": (time.perf_counter() - before) * 1e3, "inputs": order})
except Exception as e:
    say({"error": f"{type(e).__name__}: {' '.join(str(e).split())}"})
