"""Ray, and nothing else: nodes, slots, Tune and Train."""
