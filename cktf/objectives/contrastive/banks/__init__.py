"""Banks: each stores the embeddings of one network, which the other one is contrasted with."""
