"""Scene to paths: Sionna RT, in this process, in several, or on a Ray cluster."""
