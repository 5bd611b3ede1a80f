"""What learns: tokens, encoders, decoders and heads."""
