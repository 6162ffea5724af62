"""Turns a classifier into ONNX: `python -m studio.export.to_onnx TOOLS MODEL FILE`."""

import sys
import warnings
from typing import Any

OPENING_TEXTS = ("a text", "another text, which is longer")


def main(tools: str, model: str, file: str) -> None:
    """Write the classifier of a folder as one ONNX file, for any number of texts of any length."""
    sys.path.insert(0, tools)
    import torch  # noqa: PLC0415 - after the folder of the tools stands on the path
    from transformers import (  # noqa: PLC0415
        AutoModelForSequenceClassification,
        AutoTokenizer,
    )

    warnings.filterwarnings("ignore")
    loaded = AutoModelForSequenceClassification.from_pretrained(
        model, dtype=torch.float32, attn_implementation="eager", trust_remote_code=False
    )
    tokenizer = AutoTokenizer.from_pretrained(model, trust_remote_code=False)
    inputs = dict(tokenizer(list(OPENING_TEXTS), padding=True, return_tensors="pt"))

    class Logits(torch.nn.Module):  # type: ignore[misc]
        """The model as a function of tensors alone."""

        def __init__(self) -> None:
            super().__init__()
            self.model = loaded

        def forward(self, *tensors: Any) -> Any:
            """The logits of a batch."""
            return self.model(**dict(zip(inputs, tensors, strict=True))).logits

    sizes = {0: torch.export.Dim.DYNAMIC, 1: torch.export.Dim.DYNAMIC}
    torch.onnx.export(
        Logits().eval(),
        tuple(inputs.values()),
        file,
        input_names=list(inputs),
        output_names=["logits"],
        dynamic_shapes=(tuple(sizes for _ in inputs),),
        dynamo=True,
        external_data=False,
    )


if __name__ == "__main__":
    main(*sys.argv[1:])
