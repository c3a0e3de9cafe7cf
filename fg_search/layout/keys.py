"""Names of the vectors and of the payload and metadata keys that are ours."""

BASE_VECTOR = "base"  # dense, cosine: the sentence embedding
FEATURES_VECTOR = "features"  # sparse, dot: p/√G, so that the dot product is the similarity s in [0, 1]

PAYLOAD_KEY = "fg"  # the one payload key that is ours; all others are the user's
CONFIDENCE_KEY = f"{PAYLOAD_KEY}.confidence"
LABEL_KEY = f"{PAYLOAD_KEY}.label"
GIVEN_LABEL_KEY = f"{PAYLOAD_KEY}.given_label"  # only where a person corrected the label: what it was
HASH_KEY = f"{PAYLOAD_KEY}.hash"
TEXT_KEY = f"{PAYLOAD_KEY}.text"

METADATA_KEY = "fg_search"
CALIBRATION_KEY = "fg_search_calibration"
REVIEW_KEY = "review"  # within ours: what was computed about an item for those who review
REVIEW_SCORE_KEY = f"{PAYLOAD_KEY}.{REVIEW_KEY}.score"  # how probably its label is wrong
SUGGESTED_KEY = f"{PAYLOAD_KEY}.{REVIEW_KEY}.suggested"  # the label it more probably has
CONFUSION_KEY = f"{PAYLOAD_KEY}.{REVIEW_KEY}.confusion"  # '["given", "predicted"]', where these differ
JUDGEMENT_KEYS = (REVIEW_SCORE_KEY, SUGGESTED_KEY, f"{PAYLOAD_KEY}.{REVIEW_KEY}.probability", CONFUSION_KEY)
MARKED_KEY = "review_items"  # of the metadata: that items were marked as outliers, duplicates, conflicting
REVIEWED_KEY = "reviewed"  # within ours: what one of them decided
REVIEWED_ACTION_KEY = f"{PAYLOAD_KEY}.{REVIEWED_KEY}.action"
SET_ASIDE_KEY = f"{PAYLOAD_KEY}.set_aside"  # not learned from and not found until somebody decides about it

STORED_KEYS = (  # what tells whether an item has changed, and what it keeps if no more than its payload has
    HASH_KEY,
    LABEL_KEY,
    GIVEN_LABEL_KEY,
    TEXT_KEY,
    f"{PAYLOAD_KEY}.{REVIEW_KEY}",
    f"{PAYLOAD_KEY}.{REVIEWED_KEY}",
    SET_ASIDE_KEY,
)


def review_key(key: str) -> str:
    """A key of what was computed about an item for those who review, as the engine knows it."""
    return f"{PAYLOAD_KEY}.{REVIEW_KEY}.{key}"
