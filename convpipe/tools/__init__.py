"""Programs that make what the package ships: ``python -m convpipe.tools.train_digits OUT.npz``."""
