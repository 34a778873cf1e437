"""Which trial is trained next, which ends early, and when a study is done."""
