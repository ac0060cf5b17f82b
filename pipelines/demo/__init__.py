"""The demo: the whole loop on one machine, nothing in it faked but the cameras' lenses."""
