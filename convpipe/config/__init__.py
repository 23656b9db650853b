"""From what a user typed to frozen, checked settings: with sweeps, api and cli the only rooms that know Hydra."""
