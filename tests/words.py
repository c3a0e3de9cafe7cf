"""Words of the corpus, by label, and words that tell nothing."""

WORDS = {
    "card": ["card", "blocked", "stolen", "pin", "magnetic"],
    "loan": ["loan", "mortgage", "interest", "borrow", "rate"],
    "travel": ["flight", "luggage", "passport", "hotel", "airport"],
    "food": ["pizza", "recipe", "oven", "cheese", "kitchen"],
}
FILLERS = ["my", "the", "please", "help", "with"]
