"""Results -> files: tables, sentences, figures and the page."""
