"""Results to files: tables, sentences, figures and the page."""
