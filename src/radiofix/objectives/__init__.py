"""What an encoder is trained for without labels."""
