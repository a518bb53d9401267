"""The verdict: its data and JSON form, and the words that commands, verdicts and reports share."""
