"""The ledger's lines -> the tables of trials and epochs."""
