"""How a SentenceTransformer takes a text in each of its roles, as a query or as a document."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from functools import lru_cache
from typing import Any

import torch
from sentence_transformers import SentenceTransformer
from sentence_transformers.base.modules import Router

from fg_search.model.role import Role

_PROMPTS: Mapping[Role, tuple[str, ...]] = {"query": ("query",), "document": ("document", "passage", "corpus")}


@dataclass(frozen=True)
class Route:
    """The way of a text into a model.

    Attributes:
        prompt: What stands before the text.
        task: What its modules are told that the text is; ``None`` if they are told nothing.
    """

    prompt: str
    task: Role | None = None

    @property
    def arguments(self) -> dict[str, Any]:
        """Arguments of the modules' ``preprocess`` and ``forward`` beside the texts and the prompt."""
        return {} if self.task is None else {"task": self.task}


@dataclass(frozen=True)
class Roles:
    """How texts of both roles go into a model.

    Attributes:
        query_prompt: What stands before a query, or the name of one of the model's prompts; ``None`` for what the model
            says.
        document_prompt: The same for a document.
        symmetric: Whether both go the same way, that of ``model.encode``.

    Raises:
        ValueError: If both are the same and have two prompts.
    """

    query_prompt: str | None = None
    document_prompt: str | None = None
    symmetric: bool = False

    def __post_init__(self) -> None:
        if self.symmetric and None not in (self.query_prompt, self.document_prompt):
            raise ValueError(
                "with symmetric=True queries and documents are embedded alike; give one prompt, query_prompt=… or "
                "document_prompt=…, or leave symmetric out"
            )

    def route(self, model: SentenceTransformer, role: Role) -> Route:
        """The way of a text in this role into a model as it is now.

        A model without prompts and tasks of its own for roles takes texts as its ``encode`` does, unless there is a
        prompt here. One that has some takes them as its ``encode_query`` and ``encode_document``.
        """
        if self.symmetric:
            given = self.document_prompt if self.query_prompt is None else self.query_prompt
            return Route(prompt_of(model) if given is None else _text_of(model, given))
        given = self.query_prompt if role == "query" else self.document_prompt
        if given is not None:
            prompt = _text_of(model, given)
        elif self.query_prompt is not None or self.document_prompt is not None or _has_role_prompts(model):
            prompt = _prompt_of_role(model, role)
        else:
            prompt = prompt_of(model)
        return Route(prompt, role if _uses_task(model) else None)

    def are_plain(self, model: SentenceTransformer) -> bool:
        """Whether a model takes texts of both roles as its ``encode`` does."""
        plain = Route(prompt_of(model))
        return self.route(model, "query") == plain == self.route(model, "document")

    def are_alike(self, model: SentenceTransformer) -> bool:
        """Whether a model takes texts of both roles alike."""
        return self.route(model, "query") == self.route(model, "document")

    def settings(self) -> dict[str, Any]:
        """The attributes, as JSON."""
        return asdict(self)


PLAIN = Roles(symmetric=True)


def prompt_of(model: SentenceTransformer) -> str:
    """What ``model.encode`` puts before each text, if nothing else is asked for."""
    return model.prompts.get(model.default_prompt_name or "") or ""


def input_modules(model: SentenceTransformer, task: Role | None = None) -> list[torch.nn.Module]:
    """The modules that texts come to first: one, or one for each route of a router; that of a task if it is given."""
    first = model[0]
    if not isinstance(first, Router):
        return [first]
    routes: dict[str, Any] = dict(first.sub_modules.items())
    if task is not None:
        return [routes[str(first._resolve_route(task=task, modality="text"))][0]]
    return list({id(modules[0]): modules[0] for modules in routes.values()}.values())


def _text_of(model: SentenceTransformer, prompt: str) -> str:
    return model.prompts[prompt] or "" if prompt in model.prompts else prompt


def _has_role_prompts(model: SentenceTransformer) -> bool:
    return any(model.prompts.get(name) for names in _PROMPTS.values() for name in names)


def _prompt_of_role(model: SentenceTransformer, role: Role) -> str:
    # not the first that is there, as encode_document takes it: every model has an empty prompt "document"
    return next((prompt for name in _PROMPTS[role] if (prompt := model.prompts.get(name))), "")


def _uses_task(model: SentenceTransformer) -> bool:
    return any(_takes_task(model, name, module) for name, module in model.named_children())


def _takes_task(model: SentenceTransformer, name: str, module: torch.nn.Module) -> bool:
    if isinstance(module, Router):
        return _has_routes_of_roles(module)
    if "task" in (model.module_kwargs or {}).get(name, ()) or "task" in getattr(module, "forward_kwargs", ()):
        return True
    return _takes(getattr(type(module), "preprocess", None), "task")


def _has_routes_of_roles(router: Router) -> bool:
    tasks = {*router.sub_modules, *(task for task, _ in router.route_mappings)}
    return {"query", "document"} <= tasks


@lru_cache
def _takes(preprocess: Callable[..., Any] | None, argument: str) -> bool:
    return preprocess is not None and argument in inspect.signature(preprocess).parameters
