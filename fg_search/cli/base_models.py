"""The options of ``fit`` that say what makes base embeddings."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

if TYPE_CHECKING:
    from fg_search.model.encoder import FeatureGroupEncoder

Runtime = Literal["torch", "onnx", "openvino", "fastembed", "model2vec"]

EmbedderUrl = Annotated[
    str | None,
    typer.Option(
        "--embedder",
        metavar="URL",
        help="Embed texts by an API like OpenAI's, such as https://api.openai.com/v1; --model names its model, and "
        "FG_SEARCH_EMBEDDER_KEY of the environment holds its key. Texts are sent there.",
        show_default=False,
    ),
]
Backend = Annotated[Runtime, typer.Option(help="What runs the model.")]
Dtype = Annotated[
    str | None,
    typer.Option(help="Type of the model's weights, such as float16 or bfloat16.", show_default="as in its files"),
]
QueryPrompt = Annotated[
    str | None,
    typer.Option(
        help="What stands before each query, such as 'query: ', or the name of one of the model's prompts.",
        show_default="what the model says",
    ),
]
DocumentPrompt = Annotated[str | None, typer.Option(help="The same for documents.", show_default="what the model says")]
Symmetric = Annotated[
    bool,
    typer.Option("--symmetric", help="Queries and documents are the same kind of text, as intents: embed them alike."),
]


@dataclass(frozen=True)
class BaseModel:
    """What makes base embeddings.

    Attributes:
        model: Name or folder of the model.
        url: Address of an API that embeds texts, if there is one.
        backend: What runs the model.
        dtype: Type of its weights.
        truncate_dim: Number of numbers kept of each embedding.
        query_prompt: What stands before each query.
        document_prompt: What stands before each document.
        symmetric: Whether queries and documents are embedded alike.
        trust_remote_code: Whether to run code that comes with the model.
    """

    model: str
    url: str | None
    backend: Runtime
    dtype: str | None
    truncate_dim: int | None
    query_prompt: str | None
    document_prompt: str | None
    symmetric: bool
    trust_remote_code: bool

    def check(self) -> None:
        """Refuse options that would be ignored.

        Raises:
            BadParameter: If one does not go with the others.
        """
        kind = "--embedder" if self.url is not None else f"--backend {self.backend}"
        if self.url is None and self.backend in ("torch", "onnx", "openvino"):
            return
        if self.url is not None and self.backend != "torch":
            raise typer.BadParameter("--backend runs a model here, --embedder asks for it elsewhere; give one of them")
        given: dict[str, Any] = {"--dtype": self.dtype, "--trust-remote-code": self.trust_remote_code or None}
        if self.url is None:
            given["--truncate-dim"] = self.truncate_dim
        if self.backend == "model2vec":
            given |= {"--query-prompt": self.query_prompt, "--document-prompt": self.document_prompt}
        wrong = [name for name, value in given.items() if value is not None]
        if wrong:
            raise typer.BadParameter(f"{' and '.join(wrong)} cannot be chosen with {kind}; leave it out")
        if self.symmetric and self.query_prompt != self.document_prompt:
            raise typer.BadParameter(f"with --symmetric and {kind}, give --query-prompt and --document-prompt alike")

    def encoder(self, cache: Path | None) -> FeatureGroupEncoder:
        """An encoder without a head on these embeddings; its texts are embedded once, if there is a cache."""
        from fg_search.model.encoder import FeatureGroupEncoder

        prefixes: dict[str, Any] = {
            "query_prefix": self.query_prompt or "",
            "document_prefix": self.document_prompt or "",
        }
        if self.url is not None:
            from fg_search.model.embedders.http import HttpEmbedder

            embedder: Any = HttpEmbedder(self.url, self.model, truncate_dim=self.truncate_dim, **prefixes)
        elif self.backend == "fastembed":
            from fg_search.model.embedders.fast_embed import FastEmbedEmbedder

            embedder = FastEmbedEmbedder(self.model, **prefixes)
        elif self.backend == "model2vec":
            from fg_search.model.embedders.model2vec import Model2VecEmbedder

            embedder = Model2VecEmbedder(self.model)
        else:
            return FeatureGroupEncoder(
                self.model,
                cache_folder=cache,
                trust_remote_code=self.trust_remote_code,
                truncate_dim=self.truncate_dim,
                dtype=self.dtype,
                backend=self.backend,
                query_prompt=self.query_prompt,
                document_prompt=self.document_prompt,
                symmetric=self.symmetric,
            )
        return FeatureGroupEncoder(embedder, cache_folder=cache)
