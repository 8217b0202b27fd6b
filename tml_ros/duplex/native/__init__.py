"""The native model: one transformer over sound, pictures and text, 200 ms at a time (needs torch)."""
