"""What a search found: its arms, its best, and which factors mattered."""
