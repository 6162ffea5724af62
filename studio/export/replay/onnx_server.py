"""ONNX Runtime as a process of its own: `python -m studio.export.replay.onnx_server TOOLS FILE`.

Each line on stdin has the inputs of one text, as JSON, and gets a line with its logits.
"""

import json
import sys
from typing import Any


def main(tools: str, file: str) -> None:
    """Answer requests until stdin is closed."""
    sys.path.insert(0, tools)
    import numpy as np  # noqa: PLC0415
    import onnxruntime  # noqa: PLC0415 - stands in the folder of the tools

    session = onnxruntime.InferenceSession(file, providers=["CPUExecutionProvider"])
    for line in sys.stdin:
        try:
            inputs = {name: np.array([ids], dtype=np.int64) for name, ids in json.loads(line).items()}
            reply: dict[str, Any] = {"logits": session.run(None, inputs)[0][0].tolist()}
        except Exception as error:
            reply = {"error": f"{type(error).__name__}: {error}"}
        sys.stdout.write(json.dumps(reply) + "\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main(*sys.argv[1:])
