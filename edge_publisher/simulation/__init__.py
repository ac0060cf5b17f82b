"""Simulated devices: real agents whose cameras, links and manners are made up."""
