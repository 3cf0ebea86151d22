"""Tables and the page of a run, made from its rows alone: no JAX, no device."""
