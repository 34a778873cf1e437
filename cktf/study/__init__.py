"""Studies: what one YAML file asks for, checked before anything runs, and the arms that follow from it."""
