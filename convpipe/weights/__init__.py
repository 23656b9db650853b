"""Programs that make what the package ships: ``python -m convpipe.weights.train_digits OUT.npz``."""
