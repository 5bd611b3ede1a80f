"""Physics on tensors: arrays, OFDM, synthesis of channels, impairments and transforms."""
