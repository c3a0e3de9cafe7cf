"""What an index knows by itself, without asking the engine; every operation works on it."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from threading import Lock
from typing import TYPE_CHECKING, overload

from qdrant_client import models

from fg_search.engine.port import Engine
from fg_search.errors import EncoderNotFoundError, ModelMismatchError, UntrustedCodeError
from fg_search.ids import UserId, point_id
from fg_search.layout.schema import IndexMetadata
from fg_search.model.embeddings import FeatureEmbeddings
from fg_search.validation import check_distributions, check_vectors

if TYPE_CHECKING:
    from fg_search.index.calibration import Calibration
    from fg_search.model.encoder import FeatureGroupEncoder


class EncoderSlot:
    """Place of an encoder that all handles of an open index share; it is loaded once, when it is first needed."""

    def __init__(self, encoder: FeatureGroupEncoder | None = None) -> None:
        self._encoder = encoder
        self._lock = Lock()

    def get(self, load: Callable[[], FeatureGroupEncoder]) -> FeatureGroupEncoder:
        """The encoder; ``load`` is called if there is none yet."""
        with self._lock:
            if self._encoder is None:
                self._encoder = load()
            return self._encoder


@dataclass(frozen=True)
class IndexState:
    """An open index, as it is at one moment.

    Attributes:
        engine: Where the index is.
        collection: Name by which the engine knows it: an alias of the collection that holds the points.
        metadata: Of the encoder that filled it, and how it is laid out.
        encoders: Where the encoder is, once it is loaded.
        calibration: What turns scores into probabilities, if there is one.
        chosen_tenant: The tenant whose items are seen.
    """

    engine: Engine
    collection: str
    metadata: IndexMetadata
    encoders: EncoderSlot = field(default_factory=EncoderSlot)
    calibration: Calibration | None = None
    chosen_tenant: str | None = None

    @property
    def location(self) -> str:
        """Folder, URL, or class of the client."""
        return self.engine.location

    @property
    def name(self) -> str:
        """What to call it in messages."""
        return f"the index {self.collection!r} at {self.location!r}"

    @property
    def encoder(self) -> FeatureGroupEncoder:
        """The encoder of this index, loaded from where it was saved if it was not handed in.

        Raises:
            EncoderNotFoundError: If it was never saved, or its folder is gone.
            ModelMismatchError: If the folder now holds another encoder.
        """
        return self.encoders.get(self._load_encoder)

    def _load_encoder(self) -> FeatureGroupEncoder:
        if self.metadata.encoder is None:
            raise EncoderNotFoundError(
                f"{self.name} was filled by an encoder that was never saved; pass it as encoder=…"
            )
        encoder = load_encoder(self.metadata.encoder)
        check_fingerprint(self, encoder)
        return encoder

    @property
    def tenant(self) -> str | None:
        """Whose items an operation works on, ``None`` for an index without tenants.

        Raises:
            ValueError: If the index has tenants and none was chosen.
        """
        if self.metadata.settings.tenant_key is not None and self.chosen_tenant is None:
            raise ValueError(f"{self.name} has tenants; choose one first: index.tenant('…')")
        return self.chosen_tenant

    def of(self, tenant: str | None) -> IndexState:
        """The same index for one tenant, if there is one."""
        return self if tenant is None else self.of_tenant(tenant)

    def of_tenant(self, tenant: str) -> IndexState:
        """The same index for one tenant.

        Raises:
            ValueError: If the index was made without tenants, or the name is empty.
        """
        if self.metadata.settings.tenant_key is None:
            raise ValueError(
                f"{self.name} was made without tenants; make one with settings=IndexSettings(tenant_key='…')"
            )
        if not isinstance(tenant, str) or not tenant:
            raise ValueError(f"a tenant is a non-empty string, got {tenant!r}")
        return replace(self, chosen_tenant=tenant)

    def scope(self, *conditions: models.Condition | None) -> models.Filter | None:
        """A filter for all of these conditions and, where the index has tenants, for the tenant's items alone."""
        must: list[models.Condition] = [one for one in conditions if one is not None]
        tenant, key = self.tenant, self.metadata.settings.tenant_key
        if tenant is not None and key is not None:
            must.insert(0, models.FieldCondition(key=key, match=models.MatchValue(value=tenant)))
        if len(must) == 1 and isinstance(must[0], models.Filter):
            return must[0]
        return models.Filter(must=must) if must else None

    def was_re_encoded(self) -> ModelMismatchError:
        """What to raise where the collection turns out to be of another encoder than when it was opened."""
        return ModelMismatchError(
            f"{self.name} was re-encoded with another encoder since it was opened here with "
            f"{self.metadata.fingerprint}; open it again"
        )

    def scope_of_all(self, *conditions: models.Condition) -> models.Filter:
        """As :meth:`scope`, of all tenants if none was chosen."""
        own = None if self.chosen_tenant is None else self.scope()
        return models.Filter(must=[*conditions, *([] if own is None else [own])])

    def point_id(self, user_id: UserId) -> int | str:
        """The engine's id for a user's; that of another tenant's item is another one.

        Raises:
            TypeError, ValueError: As :func:`fg_search.ids.point_id`.
        """
        return point_id(user_id, tenant=self.tenant)

    def check_embeddings(self, embeddings: FeatureEmbeddings, expected: int, of: str = "texts") -> None:
        """Make sure that embeddings are of so many items, and of this index's encoder.

        Raises:
            ModelMismatchError: If another encoder made them.
            TypeError: If they are something else, such as base embeddings alone.
            ValueError: If there are more or fewer, or they hold anything but numbers and distributions.
        """
        if not isinstance(embeddings, FeatureEmbeddings):
            raise TypeError(
                f"embeddings must be FeatureEmbeddings, got {type(embeddings).__name__}; make them with "
                "encoder.encode(texts), or with encoder.features(array) from base embeddings"
            )
        if len(embeddings) != expected:
            raise ValueError(f"embeddings has {len(embeddings)} items, {of} has {expected}")
        shape = (embeddings.base.shape[1], *embeddings.probabilities.shape[1:])
        wanted = (self.metadata.dimension, self.metadata.groups, self.metadata.codes_per_group)
        if shape != wanted:
            raise ModelMismatchError(f"embeddings have (dimension, groups, codes) = {shape}, this index needs {wanted}")
        if embeddings.fingerprint not in (None, self.metadata.fingerprint) and not self._is_by_another_name(embeddings):
            raise ModelMismatchError(
                f"embeddings were made by the encoder {embeddings.fingerprint}, {self.name} was filled by "
                f"{self.metadata.fingerprint}; encode with that one"
            )
        check_vectors(embeddings.base, name="embeddings.base")
        check_distributions(embeddings.probabilities, name="embeddings.probabilities")

    def encode(self, texts: Sequence[str], batch_size: int, *, show_progress: bool | None = False) -> FeatureEmbeddings:
        """Embed texts; the caller knows best how to name those that the model reads in part only.

        Raises:
            ModelMismatchError: If a setting of the encoder was changed since the index was opened.
        """
        encoder = self.encoder
        embeddings = encoder.encode(texts, batch_size=batch_size, show_progress=show_progress, warn=False)
        if embeddings.fingerprint != self.metadata.fingerprint:
            check_fingerprint(self, encoder)
        return embeddings

    def _is_by_another_name(self, embeddings: FeatureEmbeddings) -> bool:
        """Whether embeddings are of this index's encoder, which had another fingerprint when it filled the index."""
        try:
            return embeddings.fingerprint == self.encoder.fingerprint
        except (EncoderNotFoundError, ModelMismatchError, UntrustedCodeError):
            return False


@dataclass
class OpenIndex:
    """What all handles of an open index share, those of its tenants too: calibrating and migrating replace the state.

    Attributes:
        state: Without a tenant.
        coming: What the state is about to be, while the index's name is switched to a re-encoded collection.
    """

    state: IndexState
    coming: IndexState | None = None

    def calibrated(self, calibration: Calibration) -> Calibration:
        """Use this calibration from now on."""
        self.state = replace(self.state, calibration=calibration)
        return calibration

    def migrated(self, state: IndexState) -> None:
        """Use this state from now on."""
        self.state = replace(state, chosen_tenant=None)
        self.coming = None

    def announce(self, state: IndexState) -> None:
        """What the state will be in a moment; the engine may be there already."""
        self.coming = replace(state, chosen_tenant=None)

    def after(self, state: IndexState) -> IndexState | None:
        """The state that came, or is coming, in place of an earlier one; ``None`` if that one is still in use."""
        return next((newer for newer in (self.coming, self.state) if newer is not None and newer is not state), None)


def metadata_of(encoder: FeatureGroupEncoder) -> IndexMetadata:
    """What an index filled by this encoder remembers of it.

    Raises:
        NotFittedError: If the encoder has no trained head.
    """
    return IndexMetadata(
        fingerprint=encoder.fingerprint,
        base=encoder.base_fingerprint,
        model_name=encoder.model_name,
        encoder=None if encoder.folder is None else os.fspath(encoder.folder),
        supervision=encoder.supervision,
        dimension=encoder.dimension,
        groups=encoder.groups,
        codes_per_group=encoder.codes_per_group,
    )


def check_fingerprint(state: IndexState, encoder: FeatureGroupEncoder) -> None:
    """Refuse any encoder but the one that filled the index.

    An index that release 0.1 filled goes by the fingerprint that the encoder had then: nothing has to be encoded again.

    Raises:
        ModelMismatchError: If it is another one.
    """
    filled_by = state.metadata
    if not encoder.has_fingerprint(filled_by.fingerprint):
        raise ModelMismatchError(
            f"{state.name} was filled by the encoder {filled_by.fingerprint} ({filled_by.model_name}, saved in "
            f"{filled_by.encoder!r}), this one is {encoder.fingerprint} ({encoder.model_name}, with its "
            "settings as they are now); their vectors cannot be compared: use that encoder, re-encode with "
            "index.migrate(encoder), or make a new index"
        )


@overload
def ready_encoder(encoder: FeatureGroupEncoder | str | os.PathLike[str]) -> FeatureGroupEncoder: ...


@overload
def ready_encoder(encoder: None) -> None: ...


@overload
def ready_encoder(encoder: FeatureGroupEncoder | str | os.PathLike[str] | None) -> FeatureGroupEncoder | None: ...


def ready_encoder(encoder: FeatureGroupEncoder | str | os.PathLike[str] | None) -> FeatureGroupEncoder | None:
    """Load an encoder that is given as a folder, and compute its fingerprint before anything is made for it.

    Raises:
        EncoderNotFoundError: If the folder holds no encoder.
        NotFittedError: If the encoder has no trained head.
    """
    if encoder is None:
        return None
    known = load_encoder(encoder) if isinstance(encoder, (str, os.PathLike)) else encoder
    _ = known.fingerprint
    return known


def load_encoder(folder: str | os.PathLike[str]) -> FeatureGroupEncoder:
    """Load a saved encoder; it imports torch, so only when it is needed."""
    from fg_search.model.encoder import FeatureGroupEncoder

    return FeatureGroupEncoder.load(folder)
