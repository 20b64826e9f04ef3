"""Prints the versions of every operator as JSON: {"domain:Name": [versions]}."""
import collections
import json

import onnx.defs

history = collections.defaultdict(list)
for s in onnx.defs.get_all_schemas_with_history():
    history[f"{s.domain}:{s.name}"].append(s.since_version)
print(json.dumps({k: sorted(v) for k, v in history.items()}))
