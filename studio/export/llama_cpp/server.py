"""llama.cpp as a process of its own: `python -m studio.export.llama_cpp.server TOOLS FILE CONTEXT`.

Each line on stdin is a request, as JSON, and gets a line as its reply.
"""

import json
import os
import secrets
import sys
from collections.abc import Callable
from typing import Any

import httpx

TIMEOUT_SECONDS = 300
# So high a bias makes sure of a token; the probabilities that come with it are those without the bias.
CERTAIN = 1000


class LlamaServer:
    """A GGUF file opened by llama.cpp."""

    def __init__(self, tools: str, file: str, context: int) -> None:
        sys.path.insert(0, tools)
        import xllamacpp  # noqa: PLC0415 - stands in the folder of the tools

        self._key = secrets.token_hex(16)
        params = xllamacpp.CommonParams()
        params.model.path, params.n_ctx, params.n_parallel = file, context, 1
        params.n_gpu_layers, params.warmup, params.use_jinja = 0, False, True
        params.reasoning_format = xllamacpp.common_reasoning_format.COMMON_REASONING_FORMAT_NONE
        params.cpuparams.n_threads = int(os.environ.get("OMP_NUM_THREADS") or os.cpu_count() or 1)
        params.api_keys = [self._key]
        self._server = xllamacpp.Server(params)
        self._requests: dict[str, Callable[..., Any]] = {
            "render": self.render,
            "tokenize": self.tokenize,
            "answer": self.answer,
            "continue": self.continue_text,
            "loss": self.loss,
        }

    def reply(self, request: dict[str, Any]) -> Any:
        """The reply to one request: the name of a method under "ask", and its arguments."""
        arguments = dict(request)
        return self._requests[arguments.pop("ask")](**arguments)

    def render(self, messages: list[dict[str, str]]) -> str:
        """A conversation in the file's chat template, up to where the answer begins."""
        return str(self._post("/apply-template", {"messages": messages})["prompt"])

    def tokenize(self, text: str) -> list[int]:
        """The token ids of a text in which special tokens are written out."""
        body = {"content": text, "add_special": False, "parse_special": True}
        return list(self._post("/tokenize", body)["tokens"])

    def answer(self, messages: list[dict[str, str]], max_tokens: int) -> dict[str, Any]:
        """The greedy answer to a conversation, and whether it was cut."""
        body = {"messages": messages, "max_tokens": max_tokens, "temperature": 0}
        choice = self._server.handle_chat_completions(body)["choices"][0]
        return {"text": choice["message"]["content"] or "", "is_cut": choice["finish_reason"] == "length"}

    def continue_text(self, prompt: list[int], max_tokens: int) -> dict[str, Any]:
        """The greedy continuation of token ids, and whether it was cut."""
        body = {"prompt": prompt, "max_tokens": max_tokens, "temperature": 0}
        choice = self._server.handle_completions(body)["choices"][0]
        return {"text": choice["text"], "is_cut": choice["finish_reason"] == "length"}

    def loss(self, ids: list[int], positions: list[int]) -> float:
        """The summed loss (nats) of the tokens at some positions: each is forced, its probability read."""
        return -sum(self._log_probability(ids[:position], ids[position]) for position in positions)

    def _log_probability(self, prompt: list[int], token_id: int) -> float:
        bias = [[token_id, CERTAIN]]
        body = {"prompt": prompt, "max_tokens": 1, "temperature": 0, "logprobs": 1, "logit_bias": bias}
        choice = self._server.handle_completions({**body, "n_probs": 1, "cache_prompt": True})["choices"][0]
        (token,) = choice["logprobs"]["content"]
        if token["id"] != token_id:
            raise ValueError(f"llama.cpp wrote token {token['id']} instead of {token_id}")
        return float(token["logprob"])

    def _post(self, path: str, body: dict[str, Any]) -> dict[str, Any]:
        headers = {"Authorization": f"Bearer {self._key}"}
        url = self._server.listening_address + path
        reply = httpx.post(url, json=body, headers=headers, timeout=TIMEOUT_SECONDS, trust_env=False)
        reply.raise_for_status()
        return dict(reply.json())


def main(tools: str, file: str, context: str) -> None:
    """Answer requests until stdin is closed."""
    server = LlamaServer(tools, file, int(context))
    for line in sys.stdin:
        try:
            reply: dict[str, Any] = {"result": server.reply(json.loads(line))}
        except Exception as error:
            reply = {"error": f"{type(error).__name__}: {error}"}
        sys.stdout.write(json.dumps(reply) + "\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main(*sys.argv[1:])
