"""Tests of the codecs: inputs, outputs and errors, as bytes and back."""
