"""What an open index knows without asking the engine. Every operation works on it."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from time import monotonic
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
from qdrant_client import models

from fg_search.edge.instances import construct
from fg_search.engine.port import Engine
from fg_search.errors import EncoderNotFoundError, ModelMismatchError, UntrustedCodeError
from fg_search.ids import UserId, point_id
from fg_search.index.encoders import EncoderSlot, load_encoder
from fg_search.layout.conditions import equals
from fg_search.layout.keys import MODEL_KEY
from fg_search.layout.schema import IndexMetadata
from fg_search.model.embeddings import FeatureEmbeddings
from fg_search.model.role import Role
from fg_search.validation import check_distributions, check_vectors, plain_text

if TYPE_CHECKING:
    from fg_search.index.calibration import Calibration
    from fg_search.model.encoder import FeatureGroupEncoder

_LOG = logging.getLogger(__name__)

BroughtVectors = npt.NDArray[np.float32]  # base embeddings (n, d) that somebody brings along
GivenEmbeddings = FeatureEmbeddings | BroughtVectors | None


@dataclass(frozen=True)
class IndexState:
    """An open index, as it is at one moment.

    Attributes:
        engine: Engine that holds the index.
        collection: Name of the index: an alias of the collection that holds the points.
        points: Own name of the collection that holds the points. Searches ask the alias; whatever is written goes to
            this collection, so that no vectors of two encoders meet.
        metadata: Identity of the encoder that filled the index, and the layout.
        encoders: Slot of the encoder, which may not be loaded yet.
        calibration: Calibration of the results, ``None`` if there is none.
        chosen_tenant: Tenant whose items are seen, ``None`` if none was chosen.
        has_strangers: Points of another encoder were met in the index, so that searches have to leave them out.
        handle: What all handles of the open index share.
    """

    engine: Engine
    collection: str
    points: str
    metadata: IndexMetadata
    encoders: EncoderSlot = field(default_factory=EncoderSlot)
    calibration: Calibration | None = None
    chosen_tenant: str | None = None
    has_strangers: bool = False
    handle: OpenIndex = field(default_factory=lambda: OpenIndex(), compare=False, repr=False)

    @property
    def location(self) -> str:
        """Folder, URL, or class of the client."""
        return self.engine.location

    @property
    def name(self) -> str:
        """Name of the index in messages."""
        return f"the index {self.collection!r} at {self.location!r}"

    @property
    def encoder(self) -> FeatureGroupEncoder:
        """Encoder of this index. It is loaded from the folder it was saved in unless it was handed in.

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
        self.check_encoder(encoder)
        return encoder

    def check_encoder(self, encoder: FeatureGroupEncoder) -> None:
        """Refuse any encoder but the one that filled the index.

        An index that release 0.1 filled has the fingerprint that the encoder had then: nothing has to be encoded again.

        Raises:
            ModelMismatchError: If it is another one.
        """
        if not encoder.has_fingerprint(self.metadata.fingerprint):
            raise ModelMismatchError(
                f"{self.name} was filled by the encoder {self.metadata.fingerprint} ({self.metadata.model_name}, saved "
                f"in {self.metadata.encoder!r}), this one is {encoder.fingerprint} ({encoder.model_name}, "
                "with its settings as they are now); their vectors cannot be compared: use that encoder, re-encode "
                "with index.migrate(encoder), or make a new index"
            )

    @property
    def tenant(self) -> str | None:
        """Tenant whose items an operation works on, ``None`` in an index without tenants.

        Raises:
            ValueError: If the index has tenants and none was chosen.
        """
        if self.metadata.settings.tenant_key is not None and self.chosen_tenant is None:
            raise ValueError(f"{self.name} has tenants; choose one first: index.tenant('…')")
        return self.chosen_tenant

    def of(self, tenant: str | None) -> IndexState:
        """Return the state for a tenant, or the same state for ``None``."""
        return self if tenant is None else self.of_tenant(tenant)

    def of_tenant(self, tenant: str) -> IndexState:
        """Return the state for a tenant.

        Raises:
            ValueError: If the index was made without tenants, or the name is empty.
        """
        if self.metadata.settings.tenant_key is None:
            raise ValueError(
                f"{self.name} was made without tenants; make one with settings=IndexSettings(tenant_key='…')"
            )
        if not isinstance(tenant, str) or not tenant:
            raise ValueError(f"a tenant is a non-empty string, got {tenant!r}")
        return replace(self, chosen_tenant=plain_text(tenant))

    def scope(self, *conditions: models.Condition | None) -> models.Filter | None:
        """Filter for all of these conditions, and for the tenant's items in an index with tenants."""
        must: list[models.Condition] = [condition for condition in conditions if condition is not None]
        tenant, key = self.tenant, self.metadata.settings.tenant_key
        if tenant is not None and key is not None:
            must.insert(0, equals(key, tenant))
        if self.has_strangers:
            must.append(equals(MODEL_KEY, self.metadata.fingerprint))
        if len(must) == 1 and isinstance(must[0], models.Filter):
            return must[0]
        return construct(models.Filter, must=must) if must else None

    def scope_of_all(self, *conditions: models.Condition | None) -> models.Filter:
        """Filter as in :meth:`scope`, but for the items of all tenants if none was chosen."""
        own = None if self.chosen_tenant is None else self.scope()
        return models.Filter(must=[condition for condition in (*conditions, own) if condition is not None])

    def point_id(self, user_id: UserId) -> int | str:
        """Engine's id for a user's id. The same user's id gives different points for different tenants.

        Raises:
            TypeError, ValueError: If it is not an id, see :func:`fg_search.ids.point_id`.
        """
        return point_id(user_id, tenant=self.tenant)

    def check_embeddings(
        self, embeddings: FeatureEmbeddings, expected: int, of: str = "texts", role: Role = "document"
    ) -> None:
        """Check that embeddings are of this index's encoder, of texts in this role, and that their number is right.

        Raises:
            ModelMismatchError: If another encoder made them.
            TypeError: If they are something else, such as base embeddings alone.
            ValueError: If there are too many or too few, or they are not finite vectors and distributions.
        """
        check_kind(embeddings)
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
        if embeddings.role not in (None, role):
            raise ValueError(
                f"embeddings are those of a {embeddings.role}, and the model embeds a {role} in another way; make them "
                f"with encoder.encode_{role}(texts)"
            )
        check_vectors(embeddings.base, name="embeddings.base")
        check_distributions(embeddings.probabilities, name="embeddings.probabilities")

    def encode(
        self,
        texts: Sequence[str],
        batch_size: int | None,
        role: Role,
        *,
        show_progress: bool | None = False,
        progress: Callable[[int], object] | None = None,
    ) -> FeatureEmbeddings:
        """Embed texts without warnings: the caller knows best how to name what the model reads in part only.

        Raises:
            ModelMismatchError: If a setting of the encoder was changed since the index was opened.
        """
        encoder = self.encoder
        embeddings = encoder.encode(
            texts, role=role, batch_size=batch_size, show_progress=show_progress, warn=False, progress=progress
        )
        if embeddings.fingerprint != self.metadata.fingerprint:
            self.check_encoder(encoder)
        return embeddings

    def features(self, vectors: BroughtVectors, role: Role) -> FeatureEmbeddings:
        """Features of vectors that are there already.

        Raises:
            ModelMismatchError: If a setting of the encoder was changed since the index was opened.
        """
        encoder = self.encoder
        embeddings = encoder.features(vectors, role=role)
        if embeddings.fingerprint != self.metadata.fingerprint:
            self.check_encoder(encoder)
        return embeddings

    def warn_of_foreign(self, vectors: BroughtVectors, role: Role) -> None:
        """Log a warning if another model must have made vectors that somebody brings along."""
        odd = self.encoder.foreign_vectors(vectors, role=role)
        if odd is not None:
            _LOG.warning(
                "the %s vectors do not look like those that the encoder of %s was trained on: of those looked at, %s. "
                "If another model made them, embed the texts with %r, or fit an encoder on such vectors; if that model "
                "made them of texts of another kind or language, their confidence will be low",
                f"{len(vectors):,}",
                self.name,
                odd,
                self.metadata.model_name,
            )

    def _is_by_another_name(self, embeddings: FeatureEmbeddings) -> bool:
        """Whether embeddings are of this index's encoder, which had another fingerprint when it filled the index."""
        try:
            return embeddings.fingerprint == self.encoder.fingerprint
        except (EncoderNotFoundError, ModelMismatchError, UntrustedCodeError):
            return False

    def was_re_encoded(self) -> ModelMismatchError:
        """Error to raise if the collection turns out to hold vectors of another encoder than when it was opened."""
        return ModelMismatchError(
            f"{self.name} was re-encoded with another encoder since it was opened here with "
            f"{self.metadata.fingerprint}; open it again"
        )


def check_kind(embeddings: object) -> None:
    """Check that embeddings are those of an encoder.

    Raises:
        TypeError: If they are something else, such as base embeddings alone.
    """
    if not isinstance(embeddings, FeatureEmbeddings):
        raise TypeError(
            f"embeddings must be FeatureEmbeddings, got {type(embeddings).__name__}; make them with "
            "encoder.encode(texts), or, if they are base embeddings, pass them as vectors=…"
        )


class OpenIndex:
    """State that all handles of an open index share, views of tenants included.

    Calibrating and migrating replace the state, and so does finding out that another process did either.
    """

    def __init__(self) -> None:
        self.whole_logs: set[str] = set()  # names of logs that are known to have all they need
        self.last_number = 0  # greatest number of a decision that this process has made
        self.acknowledged: set[str] = set()  # keys of the entries of decisions that were, and are not in the log yet
        self.looked_at = monotonic()  # when what others may change was last read from the engine
        self.is_closed = False
        self._state: IndexState | None = None
        self._coming: tuple[str, EncoderSlot] | None = None

    @property
    def state(self) -> IndexState:
        """State without a tenant."""
        assert self._state is not None  # noqa: S101  set before a handle is handed out
        return self._state

    @property
    def in_words(self) -> str:
        """What is known of it without asking the engine."""
        known = self.state.calibration
        return "not calibrated" if known is None else f"calibrated on {known.judged_in_words}"

    def calibrated(self, calibration: Calibration) -> Calibration:
        """Use this calibration from now on."""
        self._state = replace(self.state, calibration=calibration)
        return calibration

    def moved(self, state: IndexState) -> None:
        """Use this state, which was just read, from now on."""
        self._state = replace(state, chosen_tenant=None)
        self.looked_at = monotonic()

    def announce(self, state: IndexState) -> None:
        """Note the encoder of the next state, which may have been saved nowhere. The engine may be there already."""
        self._coming = (state.metadata.fingerprint, state.encoders)

    def coming_encoder(self, fingerprint: str) -> EncoderSlot | None:
        """Slot of an encoder that was announced, ``None`` if it was not this one."""
        if self._coming is None or self._coming[0] != fingerprint:
            return None
        return self._coming[1]
