"""Nodes of LlamaIndex, as items and from hits."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from llama_index.core.schema import BaseNode, MetadataMode, NodeWithScore, TextNode
from llama_index.core.vector_stores.utils import metadata_dict_to_node, node_to_metadata_dict

from fg_search.ids import UserId
from fg_search.index.search_results import Hit
from fg_search.integrations.outcomes import hit_metadata

_CONTENT = "_node_content"
REF_DOC_ID = "ref_doc_id"


def text_of(node: BaseNode) -> str:
    """Text of a node, without its metadata."""
    return node.get_content(metadata_mode=MetadataMode.NONE)


def payload_of(node: BaseNode) -> dict[str, Any]:
    """Payload of a node: its metadata, to filter by, and the whole node without its text."""
    return node_to_metadata_dict(node, remove_text=True, flat_metadata=False)


def node_of(user_id: UserId, text: str, payload: Mapping[str, Any]) -> BaseNode:
    """The node of an item; one that LlamaIndex has not made gets its payload as metadata."""
    if _CONTENT in payload:
        return metadata_dict_to_node(dict(payload), text=text)
    return TextNode(id_=str(user_id), text=text, metadata=dict(payload))


def found_node(hit: Hit, metadata: Mapping[str, Any] | None) -> NodeWithScore:
    """The node of a hit with its score. A language model is not shown the metadata of the search."""
    node = node_of(hit.id, hit.text, hit.payload)
    more = None if metadata is None else {**metadata, **hit_metadata(hit)}
    return NodeWithScore(node=node if more is None else told(node, more), score=hit.ranking_score)


def told(node: BaseNode, metadata: Mapping[str, Any]) -> BaseNode:
    """A node with further metadata, which neither a language model nor an embedding sees."""
    keys = list(metadata)
    return node.model_copy(
        update={
            "metadata": {**node.metadata, **metadata},
            "excluded_llm_metadata_keys": [*node.excluded_llm_metadata_keys, *keys],
            "excluded_embed_metadata_keys": [*node.excluded_embed_metadata_keys, *keys],
        }
    )


def notice(text: str, metadata: Mapping[str, Any]) -> NodeWithScore:
    """A node that says why there is no other one."""
    return NodeWithScore(node=told(TextNode(text=text), metadata), score=0.0)
