"""Where the cells of a study are trained: this process, others on this machine, others on other machines."""
