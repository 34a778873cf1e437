"""CKTF, CRD and all that only they need."""
