"""CKTF and CRD, with the parts that only they use."""
