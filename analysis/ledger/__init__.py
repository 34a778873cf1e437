"""The ledger's lines to the tables of trials and epochs."""
