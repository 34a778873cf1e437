"""What objectives are built of: heads, memory banks, negatives, the contrast, pairings and map transforms."""
