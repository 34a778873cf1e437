"""One whole trial, around the loop: its checks, its teacher, its files."""
