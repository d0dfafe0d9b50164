"""From a recipe to a trained model: :mod:`loop` is the part to read first, :mod:`session` the order of everything."""
