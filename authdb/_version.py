"""The version, in the one place that both the package and its metadata read."""

VERSION = "0.1.0"
