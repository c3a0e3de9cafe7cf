"""Items under review as files of other tools, and the corrections that come back from them."""
