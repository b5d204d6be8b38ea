"""Weights and pieces of words as packages ship them: read, and made into the folders that keras-hub reads."""
