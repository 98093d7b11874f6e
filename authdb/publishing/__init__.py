"""Pages made from packages: pure functions, text out."""
