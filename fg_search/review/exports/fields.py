"""Fields of an item that the CSV and JSONL exports share."""

FIELDS = ("id", "text", "label", "kind", "score", "suggested_label", "suggested_probability", "reason")
ID = "id"
CORRECTED = "corrected_label"  # the field to fill in
