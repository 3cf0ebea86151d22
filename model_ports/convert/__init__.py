"""From the files of the original implementations to the parameters of the ports."""
