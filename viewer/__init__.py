"""The viewer: a Panel app that reads a store. It needs no model and no network."""
