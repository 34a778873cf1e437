"""Running a study: the ledger, the planner that reads and writes it, and Ray, on which its trials run."""
