"""Names of our vectors, payload keys and metadata keys."""

# vectors
BASE_VECTOR = "base"  # dense, cosine: the sentence embedding
FEATURES_VECTOR = "features"  # sparse, dot: p/√G, so that the dot product is the similarity s in [0, 1]

# payload
IMAGE_KEY = "image"  # the user's own: file of an item that is a picture
PAYLOAD_KEY = "fg"  # the one key that is ours; all others are the user's
CONFIDENCE_KEY = f"{PAYLOAD_KEY}.confidence"
FAMILIARITY_KEY = f"{PAYLOAD_KEY}.familiarity"
LABEL_KEY = f"{PAYLOAD_KEY}.label"
GIVEN_LABEL_KEY = f"{PAYLOAD_KEY}.given_label"  # the user's label, where a person corrected it
HASH_KEY = f"{PAYLOAD_KEY}.hash"
TEXT_KEY = f"{PAYLOAD_KEY}.text"
UNREAD_KEY = f"{PAYLOAD_KEY}.unread"  # share of the text's tokens that the model does not know
CUT_KEY = f"{PAYLOAD_KEY}.cut"  # whether the text is longer than what the model reads
SET_ASIDE_KEY = f"{PAYLOAD_KEY}.set_aside"  # neither learned from nor found until somebody decides about it

REVIEW_KEY = "review"  # within ours: scores for reviewing
REVIEW_SCORE_KEY = f"{PAYLOAD_KEY}.{REVIEW_KEY}.score"  # probability that the label is wrong
SUGGESTED_KEY = f"{PAYLOAD_KEY}.{REVIEW_KEY}.suggested"  # most probable other label
CONFUSION_KEY = f"{PAYLOAD_KEY}.{REVIEW_KEY}.confusion"  # '["given", "predicted"]', where these differ
LABEL_SCORE_KEYS = (REVIEW_SCORE_KEY, SUGGESTED_KEY, f"{PAYLOAD_KEY}.{REVIEW_KEY}.probability", CONFUSION_KEY)

REVIEWED_KEY = "reviewed"  # within ours: note of a reviewer's decision
REVIEW_NOTE_KEY = f"{PAYLOAD_KEY}.{REVIEWED_KEY}"
REVIEWED_ACTION_KEY = f"{REVIEW_NOTE_KEY}.action"
REVIEWER_KEY = f"{REVIEW_NOTE_KEY}.reviewer"
OPINION_ON_KEY = f"{REVIEW_NOTE_KEY}.opinion_on"  # number of the decision that this is a second opinion on
DIFFER_KEY = f"{REVIEW_NOTE_KEY}.differ"  # true where two differ, false once somebody has settled that

HISTORY_KEY = "history"  # within ours: how often people changed the item, and decisions that are not in the log yet
ITEM_HISTORY_KEY = f"{PAYLOAD_KEY}.{HISTORY_KEY}"
HISTORY_VERSION_KEY = f"{ITEM_HISTORY_KEY}.version"
HISTORY_NUMBER_KEY = f"{ITEM_HISTORY_KEY}.number"
HISTORY_WAITING_KEY = f"{ITEM_HISTORY_KEY}.waiting"
MODEL_KEY = f"{PAYLOAD_KEY}.model"  # fingerprint of the encoder

STORED_KEYS = (  # read to find out whether an item has changed, and what of it stays if only its payload has
    HASH_KEY,
    LABEL_KEY,
    GIVEN_LABEL_KEY,
    TEXT_KEY,
    f"{PAYLOAD_KEY}.{REVIEW_KEY}",
    REVIEW_NOTE_KEY,
    SET_ASIDE_KEY,
    ITEM_HISTORY_KEY,
    MODEL_KEY,
)

# metadata of the collection
METADATA_KEY = "fg_search"
ADOPTION_KEY = "fg_search_adoption"  # of a collection that others have made
CALIBRATION_KEY = "fg_search_calibration"
ADAPTATION_KEY = "fg_search_adaptation"  # the share of unanswerable queries that the calibration follows
AUDIT_KEY = "fg_search_audit"  # thresholds that judged answers have raised
QUALITY_KEY = "fg_search_quality"  # ":" and an id follow: an entry of what was calibrated and measured
MAP_KEY = "fg_search_map"  # where the page's map has put its landmarks; of a tenant, ":" and its name follow
LABELS_SCORED_KEY = "review"  # present once labels were scored
UNSCORED_KEY = "unscored"  # in its value: number of labelled items whose label has too few examples to judge
ITEMS_SCORED_KEY = "review_items"  # present once items were scored as outliers, duplicates and conflicting


def review_key(key: str) -> str:
    """Payload key of a score, as the engine knows it."""
    return f"{PAYLOAD_KEY}.{REVIEW_KEY}.{key}"


def is_ours_in_metadata(key: str) -> bool:
    """Whether a key of a collection's metadata is the index's."""
    return key.startswith(METADATA_KEY) or key in (LABELS_SCORED_KEY, ITEMS_SCORED_KEY)
