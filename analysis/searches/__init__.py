"""Results of a search: its arms, its best, and the importance of its factors."""
