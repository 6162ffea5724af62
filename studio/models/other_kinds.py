"""What is said of a model that the studio does not train, by its config: what it is, and what to choose."""

from collections.abc import Mapping
from typing import Any

from studio.i18n import Message

UNKNOWN_FAMILY = Message("{name} is of the kind “{family}”, which the studio does not know.")
READS_PICTURES = Message("{name} (“{family}”) reads pictures; the studio trains models of text alone.")
HEARS_SPEECH = Message("{name} (“{family}”) hears speech; the studio trains models of text alone.")
ENCODER_DECODER = Message(
    "{name} (“{family}”) reads with one part and writes with another (an encoder-decoder); the studio trains"
    " models of one part."
)
MIXTURE_OF_EXPERTS = Message(
    "{name} (“{family}”) is a mixture of experts, whose parts take turns, of a kind that the studio does not"
    " know."
)
IMPOSSIBLE_SIZE = Message("A size in the config of {name} is no number that a model can have.")
TAKE_WHOLE_COPY = Message("Choose another model, or a whole copy of this one.")
NEEDS_OWN_CODE = Message(
    "{name} (“{family}”) needs program code from its own folder, and the studio runs no code from a model."
)
CHOOSE_OTHER_FAMILY = Message(
    "Choose a model of text that transformers knows, such as Llama, Mistral, Qwen, Gemma (text), Phi, SmolLM,"
    " GPT-2, OLMo, Granite, gpt-oss; to sort texts also BERT, DistilBERT, RoBERTa, XLM-R, MPNet, ELECTRA,"
    " ModernBERT."
)


def list_architectures(config: Mapping[str, Any]) -> list[str]:
    """The names of the classes that a config says the model was saved from."""
    names = config.get("architectures")
    return [str(name) for name in names] if isinstance(names, list) else []


def describe_other_kind(config: Mapping[str, Any]) -> Message:
    """What a model is that is none of the studio's families."""
    classes = " ".join(list_architectures(config))
    if "vision_config" in config or "image_size" in config or "Image" in classes:
        return READS_PICTURES
    if "audio_config" in config or any(word in classes for word in ("Speech", "CTC", "Audio")):
        return HEARS_SPEECH
    if config.get("is_encoder_decoder"):
        return ENCODER_DECODER
    if any(name in config for name in ("num_local_experts", "num_experts", "n_routed_experts")):
        return MIXTURE_OF_EXPERTS
    if config.get("auto_map"):
        return NEEDS_OWN_CODE
    return UNKNOWN_FAMILY
