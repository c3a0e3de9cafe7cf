"""Items to review in the file formats of other tools, and the corrections read back from them."""
