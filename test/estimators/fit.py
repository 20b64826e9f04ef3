"""Fits scikit-learn's estimators on random numbers and converts them to ONNX: python fit.py FOLDER.

Writes NAME.onnx, NAME.npz (in_<input>, and what onnxruntime answers: out_<i>) and index.json: a list of {name, ops, labels}, where labels
are, by output, the names that stand for its elements or its columns.

Every estimator that skl2onnx has a converter for is tried as it is, with what `arguments` adds; `variants` are further settings. Left out
is what cannot be converted, and text.
"""
import inspect
import json
import sys
import warnings

import numpy as np
import onnxruntime as ort
from skl2onnx import to_onnx
from skl2onnx._supported_operators import sklearn_operator_name_map
from sklearn import base, decomposition, ensemble, gaussian_process, linear_model, neighbors, neural_network, pipeline
from sklearn import preprocessing, random_projection, svm, tree
from sklearn.compose import ColumnTransformer
from sklearn.utils import all_estimators

warnings.filterwarnings("ignore")
ort.set_default_logger_severity(4)
folder = sys.argv[1]
only = sys.argv[2:]
rng = np.random.default_rng(7)
count = 80
x = rng.standard_normal((count, 5)).astype(np.float32)
test_x = rng.standard_normal((13, 5)).astype(np.float32)
signal = x[:, 0] + x[:, 1] * x[:, 2] + 0.5 * x[:, 3] + 0.1 * rng.standard_normal(count)
y = signal.astype(np.float32)
classes = np.digitize(signal, [-0.6, 0.6])
words = np.array(["low", "middle", "high"])[classes]
two = (signal > 0.1).astype(np.int64) * 3 + 2
holes, test_holes = x.copy(), test_x.copy()
for a in (holes, test_holes):
    a[::3, 1] = np.nan
    a[1, 2] = np.nan
levels, test_levels = (np.clip(np.floor(np.abs(a) * 1.2), 0, 2).astype(np.float32) for a in (x, test_x))

# What estimators need beyond numbers of either sign.
positive = ("MultinomialNB", "ComplementNB", "NMF", "MiniBatchNMF", "LatentDirichletAllocation")
data = {
    **{n: (np.abs(x), np.abs(test_x)) for n in positive},
    **{n: (levels, test_levels) for n in ("CategoricalNB", "OneHotEncoder", "OrdinalEncoder", "TargetEncoder")},
    **{n: (classes, classes[:9]) for n in ("LabelEncoder", "LabelBinarizer")},
    **{n: (holes, test_holes) for n in ("SimpleImputer", "KNNImputer", "MissingIndicator")},
}
targets = {
    **{n: np.abs(y) + 0.1 for n in ("GammaRegressor", "PoissonRegressor", "TweedieRegressor")},
    **{n: np.stack([y, y * 2 + x[:, 3]], 1) for n in ("MultiOutputRegressor", "RegressorChain", "PLSRegression")},
    **{n: np.stack([classes % 2, (classes + 1) // 2], 1) for n in ("MultiOutputClassifier", "ClassifierChain")},
    **{n: two for n in ("GaussianProcessClassifier", "TunedThresholdClassifierCV", "TargetEncoder")},
    **{n: None for n in ("LabelEncoder", "LabelBinarizer")},
}
logistic, shallow = linear_model.LogisticRegression(), tree.DecisionTreeClassifier(max_depth=3, random_state=0)
ridge, stump = linear_model.Ridge(), tree.DecisionTreeRegressor(max_depth=3, random_state=0)
scaler = preprocessing.StandardScaler()
arguments = {
    "ColumnTransformer": {"transformers": [("a", scaler, [0, 2]), ("b", preprocessing.MinMaxScaler(), [1, 3])]},
    "FeatureUnion": {"transformer_list": [("a", scaler), ("b", decomposition.PCA(2))]},
    "GaussianRandomProjection": {"n_components": 3},
    "GenericUnivariateSelect": {"mode": "k_best", "param": 3},
    "GridSearchCV": {"estimator": logistic, "param_grid": {"C": [0.1, 1.0]}},
    "KBinsDiscretizer": {"encode": "onehot-dense", "quantile_method": "averaged_inverted_cdf"},
    "LocalOutlierFactor": {"novelty": True},
    "NearestNeighbors": {"radius": None},
    "Pipeline": {"steps": [("a", scaler), ("b", logistic)]},
    "RadiusNeighborsClassifier": {"radius": 3.0},
    "RadiusNeighborsRegressor": {"radius": 3.0},
    "RandomizedSearchCV": {"estimator": logistic, "param_distributions": {"C": [0.1, 1.0]}, "n_iter": 2},
    "StackingClassifier": {"estimators": [("a", logistic), ("b", shallow)]},
    "StackingRegressor": {"estimators": [("a", ridge), ("b", stump)]},
    "VotingClassifier": {"estimators": [("a", logistic), ("b", shallow)], "flatten_transform": False},
    "VotingRegressor": {"estimators": [("a", ridge), ("b", stump)]},
    **{n: {"alpha": 0.5} for n in ("SelectFdr", "SelectFpr", "SelectFwe")},
    "SelectFromModel": {"estimator": linear_model.Lasso(alpha=0.05)},
    "SelectKBest": {"k": 2},
    "SelectPercentile": {"percentile": 60},
}
# Settings of their own: (name, estimator, y).
forest, boosting, knn = ensemble.RandomForestClassifier, ensemble.GradientBoostingClassifier, neighbors.KNeighborsClassifier
small = {"n_estimators": 6, "max_depth": 4, "random_state": 0}
variants = [
    ("forest_two", forest(**small), two),
    ("forest_words", forest(**small), words),
    ("boosting_two", boosting(**small), two),
    ("boosting_words", boosting(**small), words),
    ("boosting_huber", ensemble.GradientBoostingRegressor(loss="huber", **small), y),
    ("forest_outputs", ensemble.RandomForestRegressor(**small), np.stack([y, -y], 1)),
    ("logistic_two", linear_model.LogisticRegression(), two),
    ("logistic_words", linear_model.LogisticRegression(), words),
    ("mlp_two", neural_network.MLPClassifier((8, 8), activation="tanh", max_iter=30, random_state=0), two),
    ("mlp_words", neural_network.MLPClassifier((8,), activation="logistic", max_iter=30, random_state=0), words),
    ("knn_distance", knn(4, weights="distance"), classes),
    ("knn_manhattan", knn(3, metric="manhattan"), classes),
    ("knn_words", knn(3), words),
    ("knn_minkowski", neighbors.KNeighborsRegressor(3, p=3), y),
    ("svc_two", svm.SVC(kernel="poly", degree=2), two),
    ("svc_sigmoid", svm.SVC(kernel="sigmoid"), classes),
    ("svc_linear", svm.SVC(kernel="linear"), classes),
    ("svc_words", svm.SVC(), words),
    ("svc_probability", svm.SVC(probability=True, random_state=0), classes),
    ("svc_probability_two", svm.SVC(probability=True, random_state=0), two),
    ("nusvc_probability", svm.NuSVC(probability=True, random_state=0), classes),
    ("svr_poly", svm.SVR(kernel="poly"), y),
    ("one_class", svm.OneClassSVM(nu=0.2), None),
    ("gaussian_process", gaussian_process.GaussianProcessRegressor(gaussian_process.kernels.RBF(2.0), alpha=0.1), y),
    ("scaled_svc", pipeline.make_pipeline(preprocessing.StandardScaler(), svm.SVC()), classes),
    ("scaled_mlp", pipeline.make_pipeline(preprocessing.RobustScaler(), neural_network.MLPRegressor(hidden_layer_sizes=(8,), max_iter=30, random_state=0)), y),
    ("reduced_logistic", pipeline.make_pipeline(preprocessing.MinMaxScaler(), decomposition.PCA(3), linear_model.LogisticRegression()), words),
    ("polynomial_ridge", pipeline.make_pipeline(preprocessing.PolynomialFeatures(2), preprocessing.MaxAbsScaler(), linear_model.Ridge()), y),
    ("columns_forest", pipeline.make_pipeline(ColumnTransformer([("a", preprocessing.StandardScaler(), [0, 1]), ("b", "passthrough", [3])]), forest(**small)), classes),
]


def default(name, cls):
    """An estimator with what it cannot do without, and few trees."""
    parameters = inspect.signature(cls.__init__).parameters
    given = dict(arguments.get(name, {}))
    inner = parameters.get("estimator")
    if inner is not None and inner.default is inspect.Parameter.empty and "estimator" not in given:
        given["estimator"] = ridge if "Regressor" in name else logistic
    if "n_estimators" in parameters:
        given["n_estimators"] = 8
    if "random_state" in parameters:
        given["random_state"] = 0
    return cls(**given)


def target_of(name, cls):
    if name in targets:
        return targets[name]
    if name.startswith("MultiTask"):
        return np.stack([y, y * 2 + x[:, 3]], 1)
    return y if issubclass(cls, base.RegressorMixin) or name == "SelectFromModel" else classes


def labels_of(value):
    """By output: what onnxruntime answers as numbers (a sequence's elements along an axis in front), and the names that they stand for."""
    if isinstance(value, list) and isinstance(value[0], dict):
        names = list(value[0])
        return np.array([[row[n] for n in names] for row in value], np.float32), names
    if isinstance(value, list):
        return np.stack(value), None
    if value.dtype.kind in "OU":
        return value, "elements"
    return value, None


def add(name, model, inputs, target, options=None):
    fit_x, run_x = inputs
    model.fit(fit_x) if target is None else model.fit(fit_x, target)
    converted = to_onnx(model, run_x[:1], target_opset={"": 21, "ai.onnx.ml": 3}, options=options)
    converted.graph.input[0].type.tensor_type.shape.dim[0].dim_param = "N"
    session = ort.InferenceSession(converted.SerializeToString(), providers=["CPUExecutionProvider"])
    feed = session.get_inputs()[0].name
    saved, labels = {f"in_{feed}": run_x}, []
    for k, value in enumerate(session.run(None, {feed: run_x})):
        numbers, names = labels_of(value)
        if names == "elements":
            # Words: positions in the sorted list of the classes.
            names = sorted(set(words))
            numbers = np.array([names.index(w) for w in numbers.ravel()], np.int64).reshape(numbers.shape)
            labels.append({"of": "elements", "names": names})
        else:
            labels.append({"of": "columns", "names": [n if isinstance(n, str) else int(n) for n in names]} if names else None)
        if numbers is not None:
            saved[f"out_{k}"] = numbers
    with open(f"{folder}/{name}.onnx", "wb") as f:
        f.write(converted.SerializeToString())
    np.savez(f"{folder}/{name}.npz", **saved)
    ops = sorted({f"{n.domain}:{n.op_type}" if n.domain else n.op_type for n in converted.graph.node})
    index.append({"name": name, "ops": ops, "labels": labels})


index, left_out = [], []
cases = [(n, lambda n=n, c=c: (n, default(n, c), data.get(n, (x, test_x)), target_of(n, c))) for n, c in all_estimators() if c in sklearn_operator_name_map]
cases += [(n, lambda n=n, m=m, t=t: (n, m, (x, test_x), t)) for n, m, t in variants]
for name, make in cases:
    if only and name not in only:
        continue
    try:
        add(*make())
    except Exception as e:  # no converter for these settings, or onnxruntime refuses what it gives
        left_out.append((name, str(e).strip().split("\n")[0][:150]))
with open(f"{folder}/index.json", "w") as f:
    json.dump(index, f)
print(len(index), "estimators")
for name, why in left_out:
    print("left out:", name, why)
