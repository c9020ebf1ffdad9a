"""What the user may ask for: options as they are written, and what they mean."""
