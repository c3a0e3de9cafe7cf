"""Collection aliases: alternative names that can be switched in one step."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from qdrant_client import models


def _create(aliases: dict[str, str], operation: models.CreateAliasOperation, exists: Callable[[str], bool]) -> None:
    new = operation.create_alias
    if not exists(new.collection_name):  # an alias cannot point to an alias
        raise ValueError(f"Collection {new.collection_name} not found")
    if exists(new.alias_name):
        raise ValueError(f"Collection {new.alias_name} already exists")
    aliases[new.alias_name] = new.collection_name


def _rename(aliases: dict[str, str], operation: models.RenameAliasOperation, exists: Callable[[str], bool]) -> None:
    change = operation.rename_alias
    if exists(change.new_alias_name):
        raise ValueError(f"Collection {change.new_alias_name} already exists")
    if change.old_alias_name not in aliases:
        raise ValueError(f"Alias {change.old_alias_name} does not exist")
    aliases[change.new_alias_name] = aliases.pop(change.old_alias_name)


def apply_alias_operations(
    aliases: Mapping[str, str], operations: Sequence[models.AliasOperations], exists: Callable[[str], bool]
) -> dict[str, str]:
    """Return the aliases after all operations; if one of them fails, none is applied.

    Args:
        aliases: Alias → collection.
        operations: Operations in the order to apply them.
        exists: Function that tells whether a collection exists.

    Raises:
        ValueError: An operation names an unknown collection or alias, or a name that is taken.
    """
    changed = dict(aliases)
    for operation in operations:
        if isinstance(operation, models.CreateAliasOperation):
            _create(changed, operation, exists)
        elif isinstance(operation, models.DeleteAliasOperation):
            changed.pop(operation.delete_alias.alias_name, None)
        elif isinstance(operation, models.RenameAliasOperation):
            _rename(changed, operation, exists)
        else:
            raise ValueError(f"Unknown operation: {operation}")  # noqa: TRY004
    return changed
