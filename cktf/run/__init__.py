"""One run directory: its ledger, its files, its progress."""
