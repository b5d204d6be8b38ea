"""Search by words: BM25 over stems and over character 4-grams, negation and spelling, in TensorFlow's ops."""
