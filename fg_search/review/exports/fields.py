"""Fields of an item that the CSV and JSONL exports share."""

ID = "id"
SUGGESTED = "suggested_label"
FIELDS = (ID, "text", "label", "kind", "score", SUGGESTED, "suggested_probability", "reason")
CORRECTED = "corrected_label"  # the field to fill in
