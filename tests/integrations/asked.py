"""Questions to the calibrated index at a target precision of 80 %, by what is found."""

ANSWERED = "please help my card is stolen"
WEAK = "my the please"
UNKNOWN = "card loan"  # two things in one, like nothing that was learned
UNREADABLE = "zzz qqq"

TARGET = 0.8
