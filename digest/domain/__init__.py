"""The words of the trade as plain values and pure rules. Standard library only; no clock, no input, no output."""
